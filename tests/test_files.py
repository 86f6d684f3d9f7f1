"""Files: a write that fails leaves the old file and nothing else; a JSON file that cannot be used is named."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facenas.errors import InputError
from facenas.files import read_json, sha256_of, write_atomic, write_json


def test_content_arrives_whole_and_in_new_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_atomic(path, "ünï")
    assert path.read_text(encoding="utf-8") == "ünï"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(("where", "step"), [(os, "fsync"), (Path, "replace")])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: object, step: str
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(where, step, fail)
    with pytest.raises(InputError, match=r"cannot write .*file: No space left on device; free the disk"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    path = tmp_path / "file"
    write_atomic(path, "old")
    (tmp_path / f".file.{os.getpid()}.partial").symlink_to(full)
    with pytest.raises(InputError, match="No space left on device"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_kept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = {process: f".file[1].{process}.partial" for process in (ended.pid, os.getppid(), 10**30)}
    for name in (*names.values(), f".other.{ended.pid}.partial"):
        (tmp_path / name).write_text("half")
    write_atomic(tmp_path / "file[1]", "new")
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {"file[1]", f".other.{ended.pid}.partial", *names.values()} - {names[ended.pid]}


@pytest.mark.parametrize("place", ["file/below", "file/below/deeper", "n" * 300, "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="choose another place") as raised:
        write_atomic(tmp_path / place, "new")
    assert str(tmp_path / place) in str(raised.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


def test_equal_values_give_equal_bytes_and_read_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None, True], "a": {"ü": "µs"}}
    for name in ("one", "other"):
        write_json(tmp_path / name, value)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert read_json(tmp_path / "one", "value") == value


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path, "value") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the search result .*f is not whole JSON .line 1: Expecting value."),
        (b'{"a": 1,\n"b": [1, 2', "the search result .*f is not whole JSON .line 2: "),
        (b"\xff\xfe", "cannot read the search result .*f"),
    ],
)
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_json(path, "search result")


def test_an_absent_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no search result at .*absent; check the path"):
        read_json(tmp_path / "absent", "search result")
    with pytest.raises(InputError, match="cannot read the search result"):
        read_json(tmp_path, "search result")


def test_sha256_of_a_large_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 9000
    (tmp_path / "f").write_bytes(content)
    assert sha256_of(tmp_path / "f") == hashlib.sha256(content).hexdigest()
