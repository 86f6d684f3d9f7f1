"""A journal loses what was damaged, and says so; what stands behind it stays."""

import json
from pathlib import Path

import pytest

from facenas.errors import InputError
from facenas.line_journal import LineJournal

PLAN = {"of": "tests"}


def journal_of(path: Path, lines: int) -> Path:
    journal = LineJournal(path, PLAN, "test", resume=False)
    for number in range(lines):
        journal.append({"number": number})
    return path


@pytest.mark.parametrize("damage", [b'{"number": 3', b"\xff\xfe", b"", b'{"number": NaN}', b"[" * 5000, b'"\\ud800"'])
def test_a_damaged_line_costs_itself_only(tmp_path: Path, damage: bytes) -> None:
    path = journal_of(tmp_path / "j", 9)
    lines = path.read_bytes().split(b"\n")
    lines[4] = damage
    path.write_bytes(b"\n".join(lines))
    journal = LineJournal(path, PLAN, "test", resume=True)
    assert [entry["number"] for entry in journal.entries] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert journal.words is not None
    assert "1 damaged line" in journal.words
    assert len(path.read_text().splitlines()) == 9
    assert LineJournal(path, PLAN, "test", resume=True).words is None


def test_half_a_last_line_is_what_a_kill_leaves(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "j", 3)
    path.write_bytes(path.read_bytes()[:-4])
    journal = LineJournal(path, PLAN, "test", resume=True)
    assert (len(journal.entries), journal.words) == (2, None)


@pytest.mark.parametrize("first", ["not JSON", "[1]", '{"plan": 5}', json.dumps({"plan": {"of": "others"}})])
def test_a_journal_of_nobody_knows_what_is_refused(tmp_path: Path, first: str) -> None:
    path = tmp_path / "j"
    path.write_text(f'{first}\n{{"number": 1}}\n')
    with pytest.raises(InputError, match="delete that file"):
        LineJournal(path, PLAN, "test", resume=True)


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "j.partial").symlink_to(tmp_path / "victim")
    journal_of(tmp_path / "j", 1)
    assert (tmp_path / "victim").read_text() == "kept"
