"""Files: a write that fails leaves the old file and nothing else; a JSON file that cannot be used is named."""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facenas.errors import InputError
from facenas.files import parse_json, read_json, require_no_input, sha256_of, write_atomic, write_json


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


_WRITE_MORE_THAN_MAY_BE = """
import resource, signal, sys
from pathlib import Path
from facenas.errors import InputError
from facenas.files import write_atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(Path(sys.argv[1]), b"x" * 100_000)
except InputError as error:
    print(error)
"""


def test_a_write_that_the_system_ends_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    command = [sys.executable, "-P", "-c", _WRITE_MORE_THAN_MAY_BE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {path}: File too large; free the disk or choose another place\n"
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_no_link_is_followed_that_was_planted_for_the_temporary_file(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / f".file.{os.getpid()}.partial").symlink_to(victim)
    write_atomic(tmp_path / "file", "new")
    assert victim.read_text() == "kept"


def test_threads_that_write_one_file_leave_one_of_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 5000 for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomic(path, content), contents))
    assert path.read_bytes() in contents
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    path.chmod(0o640)
    write_atomic(path, "new")
    assert path.stat().st_mode & 0o777 == 0o640


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


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1000 + "]" * 1000,
        "[" * 100_000,
        '{"a":' * 90 + "1" + "}" * 90,
        "9" * 5000,
        "1" + "0" * 300,
        "1e999",
        "[NaN]",
        "-Infinity",
        '"\\ud800"',
        '{"\\udfff": 1}',
    ],
    ids=lambda text: text[:12],
)
def test_json_that_is_whole_but_wrong_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"the table .*f\.json .*make it again") as raised:
        read_json(path, "table")
    assert "\n" not in str(raised.value)


def test_json_of_another_editor_and_of_names_that_are_no_utf_8_is_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbf" + json.dumps({"photo": name, "n": -(2**128)}).encode())
    assert read_json(tmp_path / "f", "value") == {"photo": name, "n": -(2**128)}
    assert parse_json(b"[1.5, true, null]", "value") == [1.5, True, None]


def test_what_is_no_file_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("pipe", "zeros"):
        with pytest.raises(InputError, match=f"cannot read the table .*{name}: it is a folder, a pipe or a device"):
            read_json(tmp_path / name, "table")
        with pytest.raises(InputError, match=name):
            sha256_of(tmp_path / name)
    with pytest.raises(InputError, match="cannot read the table"):
        read_json(tmp_path / "a\0b", "table")


def test_a_file_that_is_larger_than_any_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(InputError, match="1,000,000,000 bytes"):
        read_json(tmp_path / "f", "table")


def test_an_output_is_not_written_over_an_input(tmp_path: Path) -> None:
    (tmp_path / "photo").write_text("")
    (tmp_path / "link").symlink_to("photo")
    for target in ("photo", "link"):
        with pytest.raises(InputError, match="would be overwritten"):
            require_no_input(tmp_path / target, [tmp_path / "absent", tmp_path / "photo"])
    require_no_input(tmp_path / "other", [tmp_path / "photo"])


def test_messages_are_one_line_and_steer_no_terminal() -> None:
    error = InputError("cannot read a\nb\x1b[31m\u202ec\ud800d" + "x" * 10_000)
    assert str(error).startswith(r"cannot read a\nb\x1b[31m\u202ec\ud800dxx")
    assert len(str(error)) < 5000
    assert str(InputError("Übung µs 写真")) == "Übung µs 写真"
