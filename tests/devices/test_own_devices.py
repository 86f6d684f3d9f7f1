from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facenas.devices.own_devices import OwnDevice, add_device, devices_file, load_devices, remove_device
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.runtimes.runtime import why_unavailable

NANO = OwnDevice("nano", "user@jetson.local", "tensorrt", "fp16", python="/opt/Py thon\\3/bin/python3")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_a_device_is_kept_named_and_forgotten() -> None:
    assert load_devices() == {}
    add_device(NANO)
    add_device(replace(NANO, name="jetson"))
    assert load_devices() == {"jetson": replace(NANO, name="jetson"), "nano": NANO}
    target = resolve_target("nano")
    assert (target.runtime, target.precision, target.elsewhere) == ("tensorrt", "fp16", True)
    assert "facenas device add nano --host" in str(why_unavailable(target))
    with pytest.raises(InputError, match="device remove nano"):
        add_device(NANO)
    remove_device("nano")
    with pytest.raises(InputError, match="no device 'nano'"):
        resolve_target("nano")
    with pytest.raises(InputError, match="no own device 'nano'; there are jetson"):
        remove_device("nano")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "cpu"}, "given already"),
        ({"name": "a b"}, "no name of a device"),
        ({"name": "../x"}, "no name of a device"),
        ({"name": "jetson", "precision": "fp32"}, "choose another name"),
        ({"runtime": "tflite"}, "none of onnxruntime"),
        ({"precision": "bf16"}, "none of those of tensorrt"),
        ({"host": "-oX"}, "write user@host"),
        ({"threads": 0}, "0 threads"),
    ],
)
def test_what_cannot_be_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(NANO, **change)


@pytest.mark.parametrize(
    "content",
    ["[nano", "nano = 1", "[nano]\nhost = 'a'", "[nano]\nhost = 1\nruntime = 'tensorrt'\nprecision = 'fp16'", "\0"],
)
def test_a_damaged_file_is_one_line_and_does_not_bar_other_devices(content: str) -> None:
    devices_file().parent.mkdir(parents=True)
    devices_file().write_text(content)
    with pytest.raises(InputError, match=r"devices\.toml"):
        load_devices()
    assert resolve_target("cpu").name == "cpu"
