"""What a search gives is the same on every processor and Python, byte for byte, for one table."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy._core._multiarray_umath as numpy_core  # type: ignore[import-not-found]
import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.graph import stage_layers
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.problem import Problem

# Each hides what this processor can do from one of the libraries below; where one does not listen, nothing is hidden.
OLDER_PROCESSORS = {
    "numpy": {"NPY_DISABLE_CPU_FEATURES": " ".join(numpy_core.__cpu_dispatch__)},
    "libm": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"},
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return search_json(tmp_path_factory.mktemp("here"), {})


def search_json(out: Path, environment: dict[str, str]) -> bytes:
    words = ("search", "--space", "facenas-edge", "--latency", "9ms", "--top", "5", "--out", str(out))
    command = [sys.executable, "-m", "facenas.cli.main", *words]
    subprocess.run(command, capture_output=True, check=True, env={**os.environ, **environment})
    return (out / "search.json").read_bytes()


@pytest.mark.parametrize("library", OLDER_PROCESSORS)
def test_an_older_processor_finds_the_same(here: bytes, tmp_path: Path, library: str) -> None:
    assert search_json(tmp_path, OLDER_PROCESSORS[library]) == here


def test_latencies_are_added_without_rounding_in_between() -> None:
    """Python's own sum of floats rounds in another way since 3.12."""
    model = TableModel(tiny_table())
    problem = Problem(tiny_space(), ScoreSettings(), TINY_INPUT, {"cpu": model}, Budgets({"cpu": 1.0}))
    for position, stages in enumerate(problem.stages):
        for stage, costs in zip(stages, problem.costs[position], strict=True):
            operators = [layer.operator for layer in stage_layers(stage, position, TINY_INPUT)]
            assert costs[0] == float(sum(Fraction(model.operator_ms(operator)) for operator in operators))
