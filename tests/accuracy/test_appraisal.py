"""Slices are drawn without repetition and judged as `facenas evaluate` judges; the table is read back as it was written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint
from helpers.tiny_elastic import TINY_SPACE

from facenas.accuracy.accuracy_table import (
    SCHEMA,
    AccuracyTable,
    PhotoFacts,
    SupernetFacts,
    fit_figures,
    load_accuracy_table,
    save_accuracy_table,
)
from facenas.accuracy.appraisal import MIN_SCORE, JudgedSlice, SliceJudge, random_members
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.detector.many_photos import Detect
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.protocols import evaluate
from facenas.units import Size


def judged(count: int) -> list[JudgedSlice]:
    generator = np.random.default_rng(0)
    figures = [
        {"all": round(float(ap), 5), "6-12 px": round(float(ap / 2), 5), "0-6 px": None}
        for ap in generator.uniform(0.3, 0.6, count)
    ]
    members = random_members(TINY_SPACE, count, seed=0)
    return [JudgedSlice(str(member), {"96x64": each}) for member, each in zip(members, figures, strict=True)]


def table_of(slices: list[JudgedSlice]) -> AccuracyTable:
    supernet = SupernetFacts("s.safetensors", "0" * 64, "tiny", TINY_SPACE.digest)
    photos = PhotoFacts("val", "1" * 64, 3, {"0-6 px": 0, "6-12 px": 9})
    figures = fit_figures(slices, TINY_SPACE)
    return AccuracyTable(SCHEMA, supernet, photos, "words", {"crops": 64}, 0, figures, tuple(slices))


def from_score(detector: FaceDetector) -> Detect:
    """The detector with the appraisal's least score."""
    return lambda photo, _: detector.pipeline(photo, MIN_SCORE)


def test_no_member_is_drawn_twice_and_more_begin_with_fewer() -> None:
    drawn = list(random_members(TINY_SPACE, 60, seed=4))
    assert len(set(drawn)) == 60
    assert drawn[:20] == list(random_members(TINY_SPACE, 20, seed=4))
    assert drawn[:20] != list(random_members(TINY_SPACE, 20, seed=5))
    with pytest.raises(InputError, match=f"has {TINY_SPACE.size} networks, not 1000000; ask for fewer"):
        list(random_members(TINY_SPACE, 1_000_000, seed=0))


def test_a_slice_is_judged_as_the_exported_file_is(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "val", 4, width_px=128, height_px=96)
    photos = load_evaluation_set(tmp_path / "val")
    checkpoint = confident_checkpoint(TINY, Size(128, 96))
    found = SliceJudge(photos, [Size(128, 96), Size(64, 64)])(checkpoint)
    model = export_checkpoint(checkpoint, tmp_path / "model.onnx", dynamic=False).path
    for size, long_side_px in (("128x96", 128), ("64x64", 64)):
        detector = FaceDetector(model, long_side_px=long_side_px)
        expected = evaluate(from_score(detector), photos)
        assert found.precision[size]["all"] == pytest.approx(expected.average_precisions["all"], abs=1e-3)
        assert set(found.precision[size]) == {"easy", "medium", "hard", "all", *expected.by_size}
    assert found.architecture == str(TINY)


def test_the_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    table = table_of(judged(40))
    save_accuracy_table(table, tmp_path / "a.accuracy.json")
    assert load_accuracy_table(tmp_path / "a.accuracy.json") == table
    lines = (tmp_path / "a.accuracy.json").read_text().splitlines()
    assert sum(line.startswith('  {"architecture"') for line in lines) == 40
    assert set(table.figures["96x64"]) == {"all", "6-12 px"}  # of 0-6 px there is no face
    figure = table.figures["96x64"]["6-12 px"]
    assert figure.average == pytest.approx(table.figures["96x64"]["all"].average / 2, abs=1e-4)
    assert table.to_json()["slices"] == 40


def test_another_file_or_schema_is_refused(tmp_path: Path) -> None:
    save_accuracy_table(replace(table_of(judged(20)), schema=7), tmp_path / "a.json")
    with pytest.raises(InputError, match="schema 7, not 1; make it again with `facenas appraise`"):
        load_accuracy_table(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(InputError, match="schema None"):
        load_accuracy_table(tmp_path / "b.json")


def test_too_few_slices_are_refused_with_the_error_that_they_would_have() -> None:
    with pytest.raises(InputError, match=r"13 slices are too few for the 14 numbers.*is off by 0\.\d+ .*--slices"):
        fit_figures(judged(13), TINY_SPACE)
    assert fit_figures(judged(14), TINY_SPACE)
