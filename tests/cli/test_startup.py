"""The command line starts quickly, and what runs on a device never needs torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facenas.data.image import encode_jpeg
from facenas.zoo import zoo_model

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # any import of it now fails
from facenas.cli.main import main
sys.argv = ["facenas", *sys.argv[1:]]
main()
"""


def without_torch(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_loads_none_of_the_libraries_that_take_long() -> None:
    script = """
import atexit, sys
from facenas.cli.main import main
atexit.register(lambda: print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr))
sys.argv = ["facenas", "--help"]
main()
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "detect" in result.stdout
    loaded = set(result.stderr.split())
    assert "typer" in loaded
    assert loaded & {"numpy", "scipy", "onnx", "onnxruntime", "openvino", "cv2", "PIL", "torch", "safetensors"} == set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and two labelled photos, made without torch as well."""
    folder = tmp_path_factory.mktemp("without-torch")
    export = without_torch("export", "--arch", "damofd-0.5g", "--input", "128x96", "--out", folder / "model.onnx")
    assert export.returncode == 0, export.stderr
    (folder / "images").mkdir()
    for name in ("a", "b"):
        (folder / "images" / f"{name}.jpg").write_bytes(encode_jpeg(np.full((96, 128, 3), 90, np.uint8), 90))
    (folder / "labelv2.txt").write_text("# a.jpg 128 96\n10 10 40 40\n# b.jpg 128 96\n50 10 90 60\n")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "damofd-0.5g", "--json"),
        ("devices", "--json"),
        ("predict", "damofd-0.5g", "--device", "cpu", "--json"),
        ("search", "--space", "facenas-edge", "--latency", "10ms", "--json"),
        ("evaluate", "--model", "{folder}/model.onnx", "--data", "{folder}", "--json"),
        ("detect", "{folder}/images", "--model", "{folder}/model.onnx", "--json"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_runs_without_torch(folder: Path, arguments: tuple[str, ...]) -> None:
    result = without_torch(*(argument.format(folder=folder) for argument in arguments))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(("{", "["))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--latency", "10ms", "--out", "{folder}/run"),
        ("train", "--arch", "damofd-0.5g", "--data", "{folder}", "--out", "{folder}/trained"),
        ("rank", "--arch", "damofd-0.5g", "--arch", "damofd-2.5g", "--out", "{folder}/ranked"),
        ("slice", "--supernet", "facenas-elastic", "--arch", "damofd-0.5g", "--out", "{folder}/slice.safetensors"),
        ("verify", str(zoo_model("facenas-12ms")), "--reference", "facenas-12ms", "--data", "{folder}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_needs_torch_says_how_to_get_it(folder: Path, arguments: tuple[str, ...]) -> None:
    result = without_torch(*(argument.format(folder=folder) for argument in arguments))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("facenas: ")
    assert "pip install 'facenas[train]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_profile_runs_without_torch() -> None:
    # A whole profile takes minutes, so only its modules are imported here.
    script = "import sys, facenas.latency.profiler, facenas.latency.this_machine; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
