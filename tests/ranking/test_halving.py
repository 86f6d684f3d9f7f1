"""Ranking by short training: who goes on, what is kept across kill -9, what is refused, and Ray gives the same."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_ranking
from helpers.tiny_ranking import ARCHITECTURES, photos_of, rank_tiny
from hypothesis import given
from hypothesis import strategies as st

from facenas.checkpoint import load_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError, MissingPackageError, TrainingError
from facenas.progress import SILENT
from facenas.ranking import halving as rank
from facenas.ranking.contenders import gather_contenders
from facenas.ranking.halving import RungResult, RungTask, kendall_tau, plan_rungs
from facenas.ranking.workers import ray_installed, workers
from facenas.training.loop import Trainer
from facenas.training.photos import TrainingPhotos
from facenas.units import Size

SCRIPT = Path(tiny_ranking.__file__)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranking") / "data"
    write_synthetic_set(folder, 4, width_px=96, height_px=96)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ranking."""
    out = tmp_path_factory.mktemp("undisturbed")
    rank_tiny(data, out)
    return out


def content_of(out: Path) -> dict[str, object]:
    """rank.json without the folder's own name."""
    value: dict[str, object] = json.loads((out / "rank.json").read_text().replace(str(out), "OUT"))
    return value


def test_the_better_half_goes_on_from_its_state(undisturbed: Path, data: Path, tmp_path: Path) -> None:
    result = content_of(undisturbed)
    assert result["finished"]
    assert result["rungs"] == [{"candidates": 3, "epochs": 2}, {"candidates": 2, "epochs": 4}]
    candidates = result["candidates"]
    assert isinstance(candidates, list)
    assert [len(candidate["ap"]) for candidate in candidates] == [2, 2, 1]
    first_rung = {candidate["number"]: candidate["ap"][0] for candidate in candidates}
    assert candidates[2]["ap"][0] == min(first_rung.values())
    assert candidates[0]["ap"][1] >= candidates[1]["ap"][1]
    assert {candidate["architecture"] for candidate in candidates} == set(ARCHITECTURES)
    # Stopped for a rung and gone on with, the training is the one that `train` makes in one piece.
    best = load_checkpoint(undisturbed / "candidates" / f"{candidates[0]['number']:02d}" / "best.safetensors")
    assert best.origin["figures"] == candidates[0]["figures"][-1]
    recipe = replace(tiny_ranking.RECIPE, epochs=4)
    photos = photos_of(data)
    trainer = Trainer(best.detector, Size(64, 64), recipe, tmp_path, photos.train.name)
    trained = trainer.run(photos.train)
    in_one_piece = load_checkpoint(trained.checkpoint)
    assert all(np.array_equal(best.tensors[name], tensor) for name, tensor in in_one_piece.tensors.items())


def test_killed_twice_it_ends_as_if_undisturbed(undisturbed: Path, data: Path, tmp_path: Path) -> None:
    """kill -9 in the second candidate of the first rung, and again in the second rung."""
    for kill_at in ("rung 1 of 2, 2 epochs, candidate 2: step 2", "rung 2 of 2"):
        lines = _rank_and_kill(data, tmp_path, kill_at)
        first = "rung 1 of 2, 2 epochs, candidate 1: step 1" if kill_at.startswith("rung 1") else "candidate 2: step"
        assert first in lines[0]
    first_rung = [line for line in lines if line.startswith("rung 1 of 2, ")]
    assert not any("candidate 1: " in line or line.endswith("candidate 2: step 1") for line in first_rung)
    rank_tiny(data, tmp_path)
    assert content_of(tmp_path) == content_of(undisturbed)
    for number in (1, 2, 3):
        there, expected = (
            load_checkpoint(folder / "candidates" / f"{number:02d}" / "best.safetensors").tensors
            for folder in (tmp_path, undisturbed)
        )
        assert all(np.array_equal(there[name], tensor) for name, tensor in expected.items())


def _rank_and_kill(data: Path, out: Path, kill_at: str) -> list[str]:
    command = [sys.executable, str(SCRIPT), str(data), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith(kill_at):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    return lines


def test_a_finished_ranking_trains_nothing(undisturbed: Path, data: Path) -> None:
    before = (undisturbed / "rank.json").read_bytes()

    def never(tasks: Sequence[RungTask], *_: object) -> list[RungResult]:
        raise AssertionError(tasks)

    rank_tiny(data, undisturbed, never)
    assert (undisturbed / "rank.json").read_bytes() == before


@pytest.mark.skipif(not ray_installed(), reason="Ray is not installed (extra `cluster`)")
@pytest.mark.slow
# Ray leaves open the logs and pipes of the processes that it started, and warns of its own future.
@pytest.mark.filterwarnings("ignore:.*:ResourceWarning", "ignore:.*:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray", "ignore:.*:FutureWarning:ray")
def test_side_by_side_through_ray_it_is_the_same(undisturbed: Path, data: Path, tmp_path: Path) -> None:
    with workers(None) as (run_tasks, where):
        ranking = rank_tiny(data, tmp_path, run_tasks)
        assert "side by side on this machine" in where
        missing = gather_contenders(None, 1, ARCHITECTURES)
        (data / "images").rename(data / "moved")
        try:
            with pytest.raises(InputError, match="can be decoded") as caught:
                rank.rank(
                    missing.entries,
                    _photos_that_are_gone(data),
                    tiny_ranking.SETTINGS,
                    tmp_path / "gone",
                    run_tasks,
                    SILENT,
                    details={},
                )
        finally:
            (data / "moved").rename(data / "images")
    assert "\n" not in str(caught.value)
    expected = content_of(undisturbed)["candidates"]
    assert isinstance(expected, list)
    for entry, other in zip(ranking.ranked, expected, strict=True):
        assert entry.number == other["number"]
        assert [result.ap for result in entry.results] == pytest.approx(other["ap"], abs=0.01)


def _photos_that_are_gone(data: Path) -> TrainingPhotos:
    (data / "moved").rename(data / "images")
    photos = photos_of(data)
    (data / "images").rename(data / "moved")
    return photos


def test_without_ray_one_after_another_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with workers(None) as (run_tasks, where):
        assert run_tasks is rank.one_after_another
    assert "Ray is not installed" in where
    with pytest.raises(MissingPackageError, match=r"pip install 'facenas\[cluster\]'"), workers("auto"):
        pass


@pytest.mark.skipif(not ray_installed(), reason="Ray is not installed (extra `cluster`)")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port"])
def test_a_cluster_that_does_not_answer_is_told_at_once(address: str) -> None:
    with pytest.raises(InputError, match=f"no Ray cluster answers at --address {address}"), workers(address):
        pass


def test_another_ranking_in_the_folder_is_refused(undisturbed: Path, data: Path) -> None:
    contenders = gather_contenders(None, 1, ARCHITECTURES[:2]).entries
    recipe = replace(tiny_ranking.RECIPE, seed=1)
    with pytest.raises(InputError, match="another contenders, epochs, seed; choose another --out"):
        rank.rank(
            contenders,
            photos_of(data),
            replace(tiny_ranking.SETTINGS, recipe=recipe),
            undisturbed,
            rank.one_after_another,
            SILENT,
            details={},
        )


def _rank_scripted(data: Path, out: Path, aps: dict[tuple[int, int], float | None]) -> rank.Ranking:
    """A ranking whose APs by candidate and rung are given."""

    def run(tasks: Sequence[RungTask], *_: object) -> list[RungResult]:
        values = [aps[int(task.folder.name), task.rung] for task in tasks]
        return [RungResult({}, "it broke") if value is None else RungResult({"all": value}) for value in values]

    return rank_tiny(data, out, run)


def test_a_candidate_whose_training_fails_is_out_and_told(data: Path, tmp_path: Path) -> None:
    ranking = _rank_scripted(data, tmp_path, {(1, 1): None, (2, 1): 0.2, (3, 1): 0.3, (2, 2): 0.5, (3, 2): 0.4})
    assert [entry.number for entry in ranking.ranked] == [2, 3, 1]
    assert ranking.to_json()["candidates"][2]["problem"] == "it broke"
    with pytest.raises(TrainingError, match="no candidate of rung 1 has an AP: it broke"):
        _rank_scripted(data, tmp_path / "all", {(1, 1): None, (2, 1): None, (3, 1): None})


def test_equals_stay_in_the_order_of_the_search(data: Path, tmp_path: Path) -> None:
    ranking = _rank_scripted(data, tmp_path, {(n, rung): 0.0 for n in (1, 2, 3) for rung in (1, 2)})
    assert [entry.number for entry in ranking.ranked] == [1, 2, 3]
    assert ranking.kendall_tau is None


@given(st.integers(2, rank.MAX_CONTENDERS), st.integers(1, 10))
def test_rungs_halve_the_candidates_and_double_the_epochs(count: int, epochs: int) -> None:
    rungs = plan_rungs(count, epochs)
    assert rungs[0] == (count, epochs)
    assert rungs[-1][0] == 2
    for (more, fewer_epochs), (fewer, more_epochs) in pairwise(rungs):
        assert fewer == -(-more // 2)
        assert more_epochs == 2 * fewer_epochs


def test_kendall_tau() -> None:
    assert kendall_tau([(1, 0.1), (2, 0.2), (3, 0.3), (4, None)]) == 1
    assert kendall_tau([(1, 0.3), (2, 0.2), (3, 0.1)]) == -1
    assert kendall_tau([(1, 0.1), (2, 0.3), (3, 0.2)]) == pytest.approx(1 / 3, abs=1e-4)
    assert kendall_tau([(1, 0.1), (2, 0.1)]) is None


def test_ray_is_not_imported_before_it_is_needed() -> None:
    script = "import sys, facenas.ranking.workers, facenas.cli.rank; print({'ray', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
