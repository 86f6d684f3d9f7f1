"""What memory a file takes, measured in a process of its own."""

from pathlib import Path

import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint

from facenas.devices.targets import resolve_target
from facenas.on_device.device_facts import forget_peak, peak_bytes, resident_bytes
from facenas.runtimes.peak_memory import peak_memory_bytes
from facenas.units import Size

needs_proc = pytest.mark.skipif(not resident_bytes(), reason="this system does not tell what a process holds")


@needs_proc
def test_a_larger_input_takes_more(tmp_path: Path) -> None:
    found = []
    for size in (Size(64, 64), Size(2048, 1536)):
        path = tmp_path / f"{size}.onnx"
        export_checkpoint(confident_checkpoint(TINY, size), path, dynamic=False)
        found.append(peak_memory_bytes(path, resolve_target("cpu")))
    small, large = found
    assert small is not None
    assert large is not None
    first_map_bytes = 4 * 8 * 1024 * 768
    assert large > small + first_map_bytes


@needs_proc
def test_the_peak_is_found_though_the_memory_was_given_back() -> None:
    forget_peak()
    before = resident_bytes()
    held = bytearray(b"x" * (64 << 20))
    del held
    assert peak_bytes() - before > 60 << 20


def test_a_damaged_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    assert peak_memory_bytes(tmp_path / "model.onnx", resolve_target("cpu")) is None


def test_of_a_gpu_or_an_estimate_nobody_tells(tmp_path: Path) -> None:
    assert peak_memory_bytes(tmp_path / "model.tflite", resolve_target("npu")) is None
    assert peak_memory_bytes(tmp_path / "model.engine", resolve_target("cuda-tensorrt")) is None
