"""A device with another processor: aarch64 in emulation, reached by a stand-in for `ssh`. What works, not how fast.

FACENAS_AARCH64_ROOT names the root folder of an arm64 system (debootstrap) with python3, numpy and onnxruntime, which this
machine runs through qemu-user-static (binfmt_misc). This machine's /proc and /sys stay out: ONNX Runtime would read an
x86 from them.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from facenas.exporters.onnx import export_checkpoint
from helpers.random_networks import TINY, confident_checkpoint
from helpers.tiny_tables import TINY_INPUT, tiny_space

from facenas.cli.main import main
from facenas.data.synthetic import write_synthetic_set
from facenas.devices.host import transport_for
from facenas.devices.own_devices import OwnDevice, add_device
from facenas.devices.targets import resolve_target
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.latency.table import load_table
from facenas.quiet import Patience
from facenas.remote.remote_agent import RemoteAgent
from facenas.steps.profile import table_path
from facenas.units import Size

ROOT = os.environ.get("FACENAS_AARCH64_ROOT", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ROOT, reason="FACENAS_AARCH64_ROOT names no arm64 system"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root folder"),
]
PLAN = Plan(
    carriers_per_operator=1, calibration_networks=3, seconds=0, least_rounds=2, runs_per_visit=1, published=False
)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device `arm` behind an `ssh` that runs its last word in the arm64 system."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "ssh").write_text(
        '#!/bin/sh\nfor word; do last="$word"; done\n'
        f"exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/bin chroot '{ROOT}' /bin/sh -c \"$last\"\n"
    )
    (binaries / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    add_device(OwnDevice("arm", "user@arm", "onnxruntime", "fp32"))


def facenas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def run(*words: object) -> str:
        monkeypatch.setattr("sys.argv", ["facenas", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        assert not end.value.code, told.err
        return told.out

    return run


def test_profile_verify_and_detect(
    board: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = facenas(capsys, monkeypatch)
    path = table_path("arm", TINY_INPUT)
    agent = RemoteAgent(resolve_target("arm"), transport_for("user@arm"), timeout_s=600)
    table = profile(agent, tiny_space(), TINY_INPUT, path, plan=PLAN, patience=Patience(judges=False))
    assert load_table(path).operators == table.operators
    assert not table.failures
    assert "aarch64" in table.fingerprint.operating_system
    export_checkpoint(confident_checkpoint(TINY, Size(160, 128)), tmp_path / "model.onnx", dynamic=False)
    write_synthetic_set(tmp_path / "data", 3, seed=0)
    words = ("--device", "arm", "--json")
    verdict = json.loads(run("verify", "model.onnx", "--reference", "model.onnx", "--data", "data", *words))
    gates = {gate["name"]: gate["passed"] for gate in verdict["gates"]}
    assert gates["tensors"]
    assert gates["boxes"]
    assert "aarch64" in verdict["device"]["operating_system"]
    photo = next((tmp_path / "data").rglob("*.jpg"))
    there, here = (
        json.loads(run("detect", photo, "--model", "model.onnx", *end))[0]["faces"] for end in (words, ("--json",))
    )
    assert len(there) == len(here)
