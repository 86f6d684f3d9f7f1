"""Which files of the folder are benchmarks."""

import sys
from pathlib import Path

import pytest

from facenas.bench.folder import all_figures, all_workloads


def test_a_script_with_a_method_of_that_name_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "benchmark_of_this_test.py").write_text(
        "def workloads(quick):\n    return {'nothing': lambda: None}\n\ndef figures(quick):\n    return {'one': 1.0}\n"
    )
    (tmp_path / "script_of_this_test.py").write_text(
        "class Answer:\n    def workloads(self): ...\n    def figures(self): ...\n\nraise RuntimeError('imported')\n"
    )
    assert list(all_workloads(tmp_path, quick=True)) == ["nothing"]
    assert all_figures(tmp_path, quick=True) == {"one": 1.0}
