"""Devices that are added at the same time are all kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from facenas.devices.own_devices import devices_file, load_devices
from facenas.errors import InputError

_ADD = """
import sys
from facenas.devices.own_devices import OwnDevice, add_device
for number in sys.argv[1:]:
    add_device(OwnDevice(f"pi-{number}", "local", "onnxruntime", "fp32"))
"""


def test_of_devices_added_at_once_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    groups = [[str(number) for number in range(first, 20, 4)] for first in range(4)]
    processes = [subprocess.Popen([sys.executable, "-P", "-c", _ADD, *group]) for group in groups]
    assert [process.wait() for process in processes] == [0] * 4
    assert set(load_devices()) == {f"pi-{number}" for number in range(20)}


@pytest.mark.parametrize(
    "text",
    [
        "a." * 100_000 + "b = 1",
        "a = " + "[" * 3000,
        "a = " + "9" * 5000,
        "a = 1e999",
        "[a]\nhost = 1\n",
        "\0",
        "[a]\nhost = nan",
    ],
    ids=lambda text: text[:12],
)
def test_a_file_that_is_whole_but_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    devices_file().parent.mkdir()
    devices_file().write_text(text)
    with pytest.raises(InputError, match=r"devices\.toml") as raised:
        load_devices()
    assert len(str(raised.value)) < 5000
