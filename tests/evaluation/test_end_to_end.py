"""What a user waits for: every stage has a time, a budget for all of it has its gate, and a search gets what is left."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.random_networks import TINY, confident_checkpoint
from helpers.told import Told

import facenas
from facenas.arrays import FloatArray
from facenas.checkpoint import save_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.errors import BudgetError, InputError
from facenas.evaluation.end_to_end import EndToEnd, end_to_end_gate, measure_end_to_end
from facenas.latency.this_machine import Calibrate
from facenas.pipeline.pipeline import Runner
from facenas.searching.budgets import Budgets
from facenas.steps.end_to_end import budgets_of_network
from facenas.steps.verify import VerifySettings
from facenas.units import LatencyBudget, Size

MEASURED = EndToEnd(4, 0.9, 5.0, 1.0, 8.0, 0.5, 14.6)


SLOW_MS = 200.0


class EverySecondRunSlow:
    """A runner that sleeps before every second of its runs."""

    def __init__(self, runner: Runner) -> None:
        self._runner, self._runs = runner, 0

    def run(self, image: FloatArray) -> Mapping[str, FloatArray]:
        self._runs += 1
        time.sleep(self._runs % 2 * SLOW_MS / 1000)
        return self._runner.run(image)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_synthetic_set(tmp_path / "photos", 3, 0, 320, 240)
    save_checkpoint(tmp_path / "c.safetensors", confident_checkpoint(TINY, Size(96, 64)))
    facenas.export(tmp_path / "c.safetensors", out=tmp_path / "m.onnx")
    return tmp_path


def test_stages_add_up_and_what_cannot_be_read_is_left_out(folder: Path) -> None:
    photos = sorted((folder / "photos").rglob("*.jpg"))
    (folder / "odd.jpg").write_bytes(b"no photo")
    told = Told()
    pipeline = FaceDetector(folder / "m.onnx").pipeline
    found = measure_end_to_end(pipeline, [*photos, folder / "odd.jpg"], rounds=2, progress=told)
    stages = (found.decoding_ms, found.letterbox_ms, found.network_ms, found.suppression_ms)
    assert found.photos == 3
    assert found.megapixels == pytest.approx(320 * 240 / 1e6)
    assert min(stages) > 0
    assert max(stages) <= found.total_ms
    assert sum("odd.jpg" in line for line in told.lines) == 1
    with pytest.raises(InputError, match="none of the photos can be read"):
        measure_end_to_end(pipeline, [folder / "odd.jpg"])


def test_a_budget_for_all_of_it_has_its_gate() -> None:
    assert end_to_end_gate(MEASURED, LatencyBudget(14.0), 5.0).passed
    assert end_to_end_gate(MEASURED, LatencyBudget(13.0), 5.0).passed is False
    assert (
        "decoding 5.00 ms, letterbox 1.00 ms, network 8.00 ms, suppression 0.500 ms, all 14.60 ms" in MEASURED.words()
    )


def test_verify_judges_the_whole_and_says_the_stages(folder: Path) -> None:
    settings = VerifySettings(calibrate=Calibrate.NEVER, end_to_end=True)
    words = (folder / "m.onnx", folder / "c.safetensors", folder / "photos")
    proof = facenas.verify(*words, latency="10000ms", settings=settings)
    gates = {gate.name: gate.passed for gate in proof.gates}
    assert gates["end to end within budget"]
    assert "latency within budget" not in gates
    assert "decoding" in proof.words
    assert proof.to_json()["end_to_end"]["total_ms"] > 0
    proof = facenas.verify(*words, latency="0.001ms@p90", settings=settings)
    assert not proof.passed
    assert "in 90 of 100 runs" in next(gate.note for gate in proof.gates if gate.name == "end to end within budget")
    with pytest.raises(InputError, match="nothing runs it on 'npu'; leave it out"):
        facenas.verify(*words, device="npu", settings=settings)


def test_a_percentile_of_the_runs_is_that_of_the_whole(folder: Path) -> None:
    pipeline = FaceDetector(folder / "m.onnx").pipeline
    pipeline = replace(pipeline, runner=EverySecondRunSlow(pipeline.runner))
    photos = sorted((folder / "photos").rglob("*.jpg"))
    assert measure_end_to_end(pipeline, photos, percentile=90).network_ms >= SLOW_MS
    assert measure_end_to_end(pipeline, photos, percentile=0).network_ms < SLOW_MS


def test_a_search_gets_what_is_left_of_the_budget() -> None:
    told = Told()
    left = budgets_of_network(Budgets({"cpu": 10_000.0}), Size(320, 256), Size(320, 240), told)
    assert 0 < left.latency_ms["cpu"] < 10_000.0
    assert "are left for the network" in told.lines[-1]
    with pytest.raises(BudgetError, match=r"all of the budget of 0\.0"):
        budgets_of_network(Budgets({"cpu": 0.01}), Size(320, 256), Size(320, 240))
    for budgets, words in ((Budgets({}), "give one with --latency"), (Budgets({"jetson": 9.0}), "cannot be used here")):
        with pytest.raises(InputError, match=words):
            budgets_of_network(budgets, Size(320, 256))
