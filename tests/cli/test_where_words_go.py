"""What a command prints arrives whatever takes it: an old encoding, a reader that has gone, a disk that is full."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facenas.cli.output import print_table
from facenas.data.image import encode_jpeg

DETECT = (sys.executable, "-P", "-m", "facenas", "detect")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "写真.jpg"
    path.write_bytes(encode_jpeg(np.zeros((64, 96, 3), np.uint8), 90))
    return path


def run(command: tuple[object, ...], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(each) for each in command], capture_output=True, env=os.environ | environment, check=False
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_no_character_is_too_much_for_an_encoding(photo: Path, encoding: str) -> None:
    done = run((*DETECT, photo), PYTHONIOENCODING=encoding)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert rb"\u5199\u771f.jpg" in done.stdout.replace(b"\n", b"")
    missing = run((*DETECT, photo.with_name("µ写.jpg")), PYTHONIOENCODING=encoding)
    assert (missing.returncode, b"Traceback" in missing.stderr) == (2, False)


def test_numbers_stand_to_the_right_and_words_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["a.jpg", "7", "4.93 ms", "passed", "0.5 %"], ["long name.jpg", "130", "12 ms", "not measured", "none"]]
    print_table("photos", ["photo", "faces", "latency", "verdict", "error"], [*rows, ["c", "1", "", "", "3 %"]])
    lines = capsys.readouterr().out.splitlines()
    assert [[cell[1:-1] for cell in line.split("│")] for line in lines[3:5]] == [
        ["a.jpg        ", "    7", "4.93 ms", "passed      ", "0.5 %"],
        ["long name.jpg", "  130", "  12 ms", "not measured", " none"],
    ]


def test_a_reader_that_has_gone_is_no_failed_gate(photo: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen([*DETECT, str(photo), "--json"], stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        _, err = process.communicate()
    assert process.returncode == 141
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_stdout_that_takes_nothing_is_named(photo: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*DETECT, str(photo), "--json"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1].startswith("facenas: cannot write the result to stdout: No space left")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["photo.jpg", "/dev/null/x", "n" * 300])
def test_a_folder_that_cannot_be_made_is_one_line(
    photo: Path, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from facenas.cli.main import main
    from facenas.data.synthetic import write_synthetic_set

    write_synthetic_set(photo.parent / "set", 3, width_px=64, height_px=64)
    monkeypatch.chdir(photo.parent)
    Path("photo.jpg").touch()
    words = ["train", "--arch", "damofd-0.5g", "--data", "set", "--out", place]
    monkeypatch.setattr("sys.argv", ["facenas", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("facenas: ")]
    assert len(lines) == 1


def test_without_home_and_name_nothing_breaks(tmp_path: Path, photo: Path) -> None:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", _NAMELESS, str(photo)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=kept,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["{}", "refused"]
    assert not list(tmp_path.iterdir())


_NAMELESS = """
import os, pwd
pwd.getpwuid = lambda uid: (_ for _ in ()).throw(KeyError(uid))  # as in a container that knows no such user
from facenas.devices.own_devices import OwnDevice, add_device, load_devices
from facenas.errors import InputError
print(load_devices())
try:
    add_device(OwnDevice("pi", "local", "onnxruntime", "fp32"))
except InputError:
    print("refused")
"""
