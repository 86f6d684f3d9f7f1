"""The figures of README and docs are those of benchmarks/results."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "docs/results.md")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "benchmarks/tables_of_results.py", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_the_pages_have_the_figures_of_the_results() -> None:
    result = run("--check")
    assert result.returncode == 0, result.stdout + result.stderr
    assert sum(page.read_text(encoding="utf-8").count("<!-- table: ") for page in PAGES) >= 7


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_figure_typed_by_hand_is_noticed_and_mended(page: Path, tmp_path: Path) -> None:
    copy, text = tmp_path / page.name, page.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| YuNet-n"))
    copy.write_text(text.replace(row, re.sub(r"0\.\d+", "0.999", row, count=1)), encoding="utf-8")
    checked = run(copy, "--check")
    assert (checked.returncode, copy.read_text(encoding="utf-8") == text) == (1, False)
    assert str(copy) in checked.stdout
    assert run(copy).returncode == 0
    assert copy.read_text(encoding="utf-8") == text


def test_a_table_that_there_is_not_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("<!-- table: beauty -->\n<!-- end -->\n", encoding="utf-8")
    result = run(tmp_path / "page.md")
    assert result.returncode == 2
    assert "no table 'beauty'" in result.stderr
