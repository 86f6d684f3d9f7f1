"""Several processes train as one does with the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import distributed_training

from facenas.checkpoint import load_checkpoint
from facenas.data.synthetic import write_synthetic_set

SCRIPT = Path(distributed_training.__file__)


def launch(data: Path, out: Path, batch: int = 4) -> subprocess.CompletedProcess[str]:
    """A training by two processes."""
    out.mkdir()
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = [sys.executable, *launcher, str(SCRIPT), str(data), str(out), str(batch)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 6, width_px=96, height_px=96)
    (tmp_path / "one").mkdir()
    distributed_training.train(tmp_path / "data", tmp_path / "one", batch_size=4)
    result = launch(tmp_path / "data", tmp_path / "two")
    assert result.returncode == 0, result.stderr
    one, two = (load_checkpoint(tmp_path / name / "last.safetensors") for name in ("one", "two"))
    assert one.origin["step"] == two.origin["step"] == 9
    assert set(one.tensors) == set(two.tensors)
    for name, tensor in one.tensors.items():
        np.testing.assert_allclose(two.tensors[name], tensor, rtol=2e-4, atol=2e-5, err_msg=name)
    curves = [
        [json.loads(line) for line in (tmp_path / name / "training.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(curves[0]) == len(curves[1]) == 9  # one process alone writes
    for first, second in zip(*curves, strict=True):
        for loss in ("score", "box", "landmark"):
            assert second[loss] == pytest.approx(first[loss], rel=1e-3, abs=2e-5)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "data", 2, width_px=96, height_px=96)
    result = launch(tmp_path / "data", tmp_path / "out", batch=3)
    assert result.returncode != 0
    assert "a batch of 3 is not shared evenly by 2 processes" in result.stderr
