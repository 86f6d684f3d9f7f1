"""Records keep what was measured, are never overwritten, and refuse to mix."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from facenas.bench.record import Record, Timing, new_record, read_record, require_comparable, write_record
from facenas.bench.regression import compare_records
from facenas.errors import InputError


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return new_record({"one": Timing((5,) * 12, (1,) * 12)}, {"error, percent": 1.25}, True, tmp_path)


def test_a_record_comes_back_as_it_was_written(record: Record, tmp_path: Path) -> None:
    write_record(record, tmp_path / "a" / "record.json")
    assert read_record(tmp_path / "a" / "record.json") == record
    assert record.commit == "unknown"  # this folder is no checkout
    assert {"python", "numpy", "onnxruntime", "facenas"} <= set(record.versions)


def test_a_record_is_never_overwritten(record: Record, tmp_path: Path) -> None:
    write_record(record, tmp_path / "record.json")
    with pytest.raises(InputError, match="records are never overwritten"):
        write_record(record, tmp_path / "record.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 1}, "no benchmark record of schema 2 (its schema: 1)"),
        ({"schema": None}, "its schema: None"),
        ({"fingerprint": {}}, "fingerprint must have exactly the fields"),
        ({"timings": {"one": {"samples_ns": [1], "reference_ns": []}}}, "1 samples and 0 of the reference"),
        ({"timings": {"one": {"samples_ns": ["x"], "reference_ns": [1]}}}, "should be a whole number"),
    ],
)
def test_what_is_no_record_is_refused_in_words(
    record: Record, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    (tmp_path / "record.json").write_text(json.dumps(record.to_json() | change))
    with pytest.raises(InputError) as raised:
        read_record(tmp_path / "record.json")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_records_of_other_machines_or_extents_do_not_compare(record: Record) -> None:
    elsewhere = replace(record, fingerprint=replace(record.fingerprint, cpu="another CPU"))
    with pytest.raises(InputError, match=r"the baseline is from another machine \(cpu: another CPU; here "):
        require_comparable(elsewhere, record)
    with pytest.raises(InputError, match="made without --quick, this run with --quick"):
        require_comparable(replace(record, quick=False), record)
    upgraded = replace(record, fingerprint=replace(record.fingerprint, runtime_version="0.0"))
    require_comparable(upgraded, record)  # an upgrade is what one may want to compare
    with pytest.raises(InputError, match="holds none of these benchmarks"):
        compare_records(replace(record, timings={"other": record.timings["one"]}), record)
