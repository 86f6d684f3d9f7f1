import json
from dataclasses import replace

import pytest

from facenas.devices.fingerprint import differences, fingerprint_from_json
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.runtimes.runtime import read_fingerprint


def test_a_fingerprint_reads_back_from_json() -> None:
    here = read_fingerprint(resolve_target("cpu"))
    assert fingerprint_from_json(json.loads(json.dumps(here.to_json()))) == here
    assert (here.runtime, here.precision, here.threads) == ("onnxruntime", "fp32", 1)


def test_differences_are_said_in_words() -> None:
    here = read_fingerprint(resolve_target("cpu"))
    assert differences(here, here) == ()
    other = replace(here, cpu="Other CPU", runtime_version="0.1", instruction_sets=("avx9000", *here.instruction_sets))
    words = " / ".join(differences(other, here))
    assert "cpu: the table's Other CPU, this machine's" in words
    assert "runtime version: the table's 0.1" in words
    assert "instruction sets: the table's only avx9000, this machine's only none" in words


@pytest.mark.parametrize("value", [None, [], {}, {"cpu": "x"}])
def test_what_is_no_fingerprint_is_refused(value: object) -> None:
    with pytest.raises(TableError, match="profile"):
        fingerprint_from_json(value)
