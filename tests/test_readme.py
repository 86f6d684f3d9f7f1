"""The commands in the README exist, with the options that it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"facenas ([a-z]+)((?: [^`\n|]*)?)", README)))


@pytest.mark.parametrize(("verb", "rest"), COMMANDS, ids=lambda value: value.strip() or "plain")
def test_verbs_and_options_are_real(verb: str, rest: str) -> None:
    from typer.main import get_command

    from facenas.cli.main import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    if f"`facenas {verb}" not in README and f"    facenas {verb}" not in README:
        return  # "facenas takes a latency budget" is prose
    options = {name for parameter in commands[verb].params for name in parameter.opts}
    for option in re.findall(r"--[a-z-]+", rest):
        assert option in options, f"README shows `facenas {verb} {option}`, which is no option"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)", README))))
def test_make_targets_are_real(target: str) -> None:
    result = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_python_example_works(tmp_path: Path) -> None:
    code = """
import numpy as np
import facenas
faces = facenas.Detector({path!r})(np.zeros((100, 120, 3), np.uint8))
print(len(faces.scores), faces.boxes.shape[1])
"""
    path = str(tmp_path / "model.onnx")
    export = [sys.executable, "-m", "facenas.cli.main", "export", "--arch", "damofd-0.5g", "--input", "128x96"]
    subprocess.run([*export, "--out", path], check=True, capture_output=True)
    result = subprocess.run([sys.executable, "-c", code.format(path=path)], check=True, capture_output=True, text=True)
    assert result.stdout.split()[1] == "4"
