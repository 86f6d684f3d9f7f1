"""docs/runtimes.md is right: its three steps, done as they stand there, give a runtime that can do everything."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint
from helpers.tiny_tables import tiny_space

from facenas.data.image import encode_jpeg
from facenas.spaces.space import Space
from facenas.units import Size

ROOT = Path(__file__).parents[2]


def build_with_the_toy(place: Path) -> Path:
    """The package as links, but for the files that the page has one write or extend."""
    page = (ROOT / "docs" / "runtimes.md").read_text(encoding="utf-8")
    module, loader, record, target = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    package = place / "facenas"
    changed = {
        "runtimes/toy.py": module,
        "runtimes/runtime.py": extended(
            "runtimes/runtime.py",
            ("RUNTIMES: Mapping", f"{loader}\n\n"),
            ('        Runtime(\n            name="torch"', record),
        ),
        "devices/target.py": extended("devices/target.py", ('    Target("cpu-litert"', target)),
    }
    for folder in {Path(name).parent for name in changed}:
        (package / folder).mkdir(parents=True)
        for path in (ROOT / "facenas" / folder).iterdir():
            if path.suffix == ".py" and f"{folder}/{path.name}" not in changed:
                (package / folder / path.name).symlink_to(path)
    for path in [*(ROOT / "facenas").iterdir(), ROOT / "exporters", ROOT / "latency_tables"]:
        if path.name != "__pycache__" and not (package / path.name).exists():
            (package / path.name).symlink_to(path)
    for name, text in changed.items():
        (package / name).write_text(text, encoding="utf-8")
    return place


def extended(name: str, *additions: tuple[str, str]) -> str:
    """A source file with each text put before its mark."""
    text = (ROOT / "facenas" / name).read_text(encoding="utf-8")
    for mark, added in additions:
        assert text.count(mark) == 1, mark
        text = text.replace(mark, added + mark)
    return text


def space_to_json(space: Space) -> dict[str, object]:
    """A space as `facenas.spaces.file` reads it."""
    stages = [list(map(str, choices)) for choices in space.stages]
    return {"name": space.name, "stages": stages, "necks_and_heads": {"0": str(space.necks_and_heads[0][1])}}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_with_the_toy(tmp_path_factory.mktemp("tree"))


def facenas(tree: Path, *words: object) -> Any:
    """What a command of that build prints as JSON, run in its folder."""
    command = [sys.executable, "-P", "-m", "facenas.cli.main", *map(str, words), "--json"]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_toy_runtime_is_listed_profiled_and_searched_for(tree: Path) -> None:
    listed = {entry["target"]: entry for entry in facenas(tree, "devices")}
    assert listed["toy"]["available"]
    assert listed["toy"]["runtime"] == "onnx"
    (tree / "space.json").write_text(json.dumps(space_to_json(tiny_space())), encoding="utf-8")
    common = ("--device", "toy", "--space", "space.json", "--input", "64x64")
    table = facenas(tree, "profile", *common, "--out", "toy.json", "--quick", "--seconds", 0, "--even-if-busy")
    assert table["operators"] > 0
    found = facenas(tree, "search", *common, "--table", "toy.json", "--latency", "1ms", "--out", "found")
    assert 0 < found["latency_ms"]["toy"] <= 1.0


def test_a_toy_runtime_finds_the_faces_that_the_others_find(tree: Path) -> None:
    size = Size(96, 64)
    export_checkpoint(confident_checkpoint(TINY, size), tree / "model.onnx", dynamic=False)
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (tree / "photo.jpg").write_bytes(encode_jpeg(photo, 95))
    code = """
import json, sys
from pathlib import Path
import facenas
from facenas.data.image import read_image
from facenas.devices.targets import resolve_target
photo = read_image(Path("photo.jpg"))
rows = [facenas.FaceDetector("model.onnx", resolve_target(name))(photo, 0.1).rows.tolist() for name in ("cpu", "toy")]
print(json.dumps(rows))
"""
    command = [sys.executable, "-P", "-c", code]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree, env=environment)
    assert done.returncode == 0, done.stderr
    expected, found = map(np.array, json.loads(done.stdout))
    assert len(expected) > 3
    np.testing.assert_allclose(found, expected, atol=0.01)
