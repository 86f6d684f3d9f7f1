"""Files on a device elsewhere, by the command line: `--device` in verify, detect, evaluate and run."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import description_of
from facenas.exporters.onnx import export_checkpoint
from helpers.command_line import Outcome
from helpers.far_devices import remote, wait_until_empty
from helpers.random_networks import TINY, confident_checkpoint
from helpers.ssh_server import SshServer, ssh_server

from facenas.data.image import encode_jpeg
from facenas.data.synthetic import write_synthetic_set
from facenas.devices.own_devices import OwnDevice, add_device
from facenas.errors import InputError
from facenas.remote.remote_model import RemoteModel
from facenas.units import Size
from facenas.zoo import ZOO_NAMES, zoo_model

Facenas = Callable[..., Outcome]
SIZE = Size(160, 128)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    with ssh_server(tmp_path, monkeypatch) as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    export_checkpoint(confident_checkpoint(TINY, SIZE), path, dynamic=False)
    return path


def test_verify_detect_and_evaluate_run_there(
    server: SshServer, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    add_device(OwnDevice("pi", "127.0.0.1", "onnxruntime", "fp32", python=sys.executable))
    write_synthetic_set(tmp_path / "data", 3, seed=0)
    words = ("--device", "pi", "--json")
    told = facenas("verify", model, "--reference", model, "--data", tmp_path / "data", "--latency", "1000ms", *words)
    assert told.code == 0, told.err
    verdict = json.loads(told.out)
    passed = {gate["name"]: gate["passed"] for gate in verdict["gates"]}
    assert passed == {
        "loads": True,
        "tensors": True,
        "boxes": True,
        "average precision": passed["average precision"],
        "fallbacks": True,
        "latency as predicted": None,  # there is no table
        "latency within budget": True,
    }
    assert verdict["latency"]["target"] == "pi"
    assert verdict["device"]["runtime"] == "onnxruntime"
    assert set(verdict["sha256"]) == {"artefact", "reference"}
    photo = next((tmp_path / "data").rglob("*.jpg"))
    there, here = (json.loads(facenas("detect", photo, "--model", model, *end).out) for end in (words, ("--json",)))
    assert there == here
    judged_there, judged_here = (
        json.loads(facenas("evaluate", "--model", model, "--data", tmp_path / "data", *end).out)
        for end in (words, ("--json",))
    )
    assert judged_there == judged_here
    assert wait_until_empty(server.device_folder) == []


@pytest.mark.parametrize("words", [("detect", "photo.jpg"), ("run", "--latency", "5ms", "--out", "run")])
def test_a_device_that_is_only_profiled_says_so_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    add_device(OwnDevice("phone", "local", "ncnn", "fp16", python=sys.executable))
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8), 90))
    refused = facenas(*words, "--device", "phone")
    assert refused.code == 2
    assert "device 'phone' is only profiled: no exported file of ncnn is run elsewhere yet" in refused.err
    assert "search and predict for it, and prove the file here with --device cpu-ncnn-fp16" in refused.err
    assert refused.err.count("\n") == 1


def test_an_int8_file_for_a_float_device_is_refused(tmp_path: Path, facenas: Facenas) -> None:
    asked = ("--arch", str(TINY), "--precision", "int8", "--calibration-count", 8, "--input", SIZE)
    assert facenas("export", *asked, "--out", tmp_path / "int8.onnx").code == 0
    with remote() as agent, pytest.raises(InputError, match="is int8, device cpu computes fp32"):
        RemoteModel(agent, tmp_path / "int8.onnx")


def zoo_input(name: str) -> str:
    return f"{description_of(zoo_model(name)).input_size}"


def test_detectors_are_compared_on_a_device_elsewhere(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facenas: Facenas, shared_dir: Path
) -> None:
    """The same average precisions as here, and the page says where."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    add_device(OwnDevice("pi", "127.0.0.1", "onnxruntime", "fp32", python=sys.executable))
    (tmp_path / "annotations").symlink_to(shared_dir / "data" / "annotations")
    photos = shared_dir / "data" / "wider_dev100"
    for path in sorted(photos.rglob("*.jpg"))[:4]:
        link = tmp_path / path.relative_to(photos)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    words = ("bench", "--report", "--data", tmp_path / "WIDER_val", "--out", tmp_path / "page.html", "--json")
    found = {}
    for device, inputs in (("cpu", ("--input", "128x96")), ("pi", ())):
        told = facenas(*words, "--device", device, *inputs)
        assert told.code == 0, told.err
        found[device] = json.loads(told.out)
        assert (found[device]["device"], found[device]["photos"]) == (device, 4)
        assert f"in turns on {device}." in (tmp_path / "page.html").read_text(encoding="utf-8")
    here, there = (
        [(each["name"], each["hard"]) for each in found[device]["detectors"] if each["usual"]]
        for device in ("cpu", "pi")
    )
    assert there == here
    assert all(each["latency_ms"] > 0 for each in found["pi"]["detectors"])
    at = {(each["name"], each["input"]): each for each in found["cpu"]["detectors"]}
    assert set(at) == {(name, size) for name in ZOO_NAMES for size in ("128x96", zoo_input(name))}
    assert [each["usual"] for each in at.values()] == [each["input"] != "128x96" for each in at.values()]
    assert at["facenas-10ms", "128x96"]["latency_ms"] < at["facenas-10ms", "512x384"]["latency_ms"]
