import errno
import os
from pathlib import Path

import pytest

from facenas.errors import InputError
from facenas.latency.journal import Journal, Visit
from facenas.runtimes.local_agent import Measurement

PLAN = {"device": "cpu", "networks": ["a", "b"]}
VISIT = Visit(0, "a", 0.25, Measurement((5, 6), {"stem": [1, 2]}, (0, 1)))
FAILED = Visit(0, "b", 0.5, None, "crashed")


def test_visits_come_back_after_a_kill_but_for_a_half_line(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json.journal"
    journal = Journal(path, PLAN, resume=False)
    journal.add(VISIT)
    journal.add(FAILED)
    with path.open("a") as file:
        file.write('{"round": 1, "network": "a", "sec')
    resumed = Journal(path, PLAN, resume=True)
    assert resumed.visits == [VISIT, FAILED]
    resumed.add(VISIT)
    assert Journal(path, PLAN, resume=True).visits == [VISIT, FAILED, VISIT]


def test_an_unfinished_profile_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json.journal"
    Journal(path, PLAN, resume=False).add(VISIT)
    with pytest.raises(InputError, match="--resume"):
        Journal(path, PLAN, resume=False)


def test_a_journal_of_another_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json.journal"
    Journal(path, PLAN, resume=False)
    with pytest.raises(InputError, match="device: cpu there, cpu-openvino here"):
        Journal(path, PLAN | {"device": "cpu-openvino"}, resume=True)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json.journal"
    path.write_text('[1, 2]\n{"x": 3}\n')
    with pytest.raises(InputError, match="delete that file"):
        Journal(path, PLAN, resume=True)


def test_a_full_disk_is_one_line_and_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpu.json.journal"
    journal = Journal(path, PLAN, resume=False)
    journal.add(VISIT)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"No space left on device.*--resume"):
            journal.add(FAILED)
    assert Journal(path, PLAN, resume=True).visits[0] == VISIT
