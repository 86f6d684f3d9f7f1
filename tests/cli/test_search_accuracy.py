"""Searches that see accuracy: the additive model is maximised exactly, learnt weights are the default, slices are judged."""

import json
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import Outcome
from helpers.made_up_accuracy import ELASTIC, random_model, write_accuracy_table
from helpers.random_supernet import write_photos, write_supernet
from helpers.tiny_elastic import TINY_SPACE

from facenas.accuracy.additive_model import AdditiveModel
from facenas.architecture import Architecture, Backbone, parse_architecture
from facenas.cost import detector_costs
from facenas.data.synthetic import write_synthetic_set
from facenas.files import sha256_of
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.objective import Objective
from facenas.searching.problem import Problem
from facenas.searching.result import run_search
from facenas.spaces.elastic_space import ElasticSpace
from facenas.units import Size

Run = Callable[..., Outcome]
WORDS = ("search", "--space", "facenas-elastic", "--device", "none", "--flops", "250M", "--input", "320x256")
SIZE = Size(96, 64)


def all_members(space: ElasticSpace) -> list[Architecture]:
    members = []
    for stages in product(*space.space.stages):
        if all(before.out_channels == after.in_channels for before, after in pairwise(stages)):
            members += [Architecture(Backbone(stages), end) for end in space.ends]
    return members


@pytest.mark.parametrize("seed", range(4))
def test_no_member_within_the_budgets_is_predicted_to_be_better(seed: int) -> None:
    model = random_model(TINY_SPACE, seed)
    members = all_members(TINY_SPACE)
    assert len(members) == TINY_SPACE.size
    costs = [detector_costs(member, SIZE) for member in members]
    budget = float(np.quantile([each.flops for each in costs], 0.3))
    best = max(model(member) for member, cost in zip(members, costs, strict=True) if cost.flops <= budget)
    problem = Problem(
        TINY_SPACE.space, ScoreSettings(), SIZE, {}, Budgets({}, flops=budget), Objective.ACCURACY, 0, model
    )
    result = run_search(problem, top=3, provenance={})
    assert result.certificate.bound == pytest.approx(best, abs=1e-8)
    assert result.best.ap == pytest.approx(best, abs=1e-5)
    assert result.best.flops <= budget
    assert result.to_json()["ranked_by"] == "accuracy"


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_supernet(tmp_path_factory.mktemp("supernet") / "supernet.safetensors", ELASTIC)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, supernet: Path) -> Path:
    """An accuracy table whose slices have the AP of a made-up model: better with a wider neck, and large faces by stage 5."""
    model = random_model(ELASTIC, 0)
    model = AdditiveModel(model.base, {**model.values, "neck width": {"16": 0.0, "32": 0.05, "48": 0.1}})

    def figures(member: Architecture, _: Size) -> dict[str, float | None]:
        ap = round(model(member), 5)
        large = round(0.2 + 0.1 * member.backbone.stages[4].sublayers, 5)
        return {"all": ap, "mean": ap, "12-24 px": ap, "48 px and more": large}

    path = tmp_path_factory.mktemp("table") / "made.accuracy.json"
    return write_accuracy_table(path, ["320x256"], figures, supernet.name, sha256_of(supernet))


def test_ddsar_takes_the_weights_that_the_table_learnt(facenas: Run, table: Path, tmp_path: Path) -> None:
    learnt = json.loads(facenas(*WORDS, "--accuracy", table, "--json").out)
    assert learnt["score"]["alpha"] == 0
    assert sum(learnt["score"]["stage_weights"]) == pytest.approx(1, abs=1e-3)
    assert learnt["accuracy"]["photos"] == "made up"
    assert all(candidate["ap"] > 0 for candidate in (*learnt["top"], *learnt["frontier"]))
    paper = json.loads(facenas(*WORDS, "--accuracy", table, "--stage-weights", "paper", "--json").out)
    assert paper["score"] == {"alpha": 0.25, "resolution_px": 224, "stage_weights": [0.2, 0.27, 0.25, 0.18, 0.1]}
    labels = tmp_path / "labelv2.txt"
    labels.write_text("# a.jpg 640 480\n10 10 300 300" + " -1" * 15 + " 0\n", encoding="utf-8")
    close = json.loads(facenas(*WORDS, "--accuracy", table, "--stage-weights", f"from:{labels}", "--json").out)
    assert close["score"]["stage_weights"][4] > 0.9  # the made-up faces of 48 px and more are stage 5's


def test_accuracy_sees_the_neck(facenas: Run, table: Path) -> None:
    done = facenas(*WORDS, "--accuracy", table, "--rank-by", "accuracy")
    assert done.code == 0, done.err
    assert "PAFPN(48)" in "".join(line.split("│")[0].strip() for line in done.out.splitlines())
    assert "predicted from" in done.out
    assert "Kendall tau" in done.out
    assert "has a predicted AP above" in done.out


def test_judged_slices_are_put_in_the_order_of_what_was_found(
    facenas: Run, table: Path, supernet: Path, tmp_path: Path
) -> None:
    write_synthetic_set(tmp_path / "data", 4, width_px=96, height_px=64)
    norms = write_photos(tmp_path / "photos", 16)
    judging = ("--judge", "2", "--supernet", supernet, "--data", tmp_path / "data", "--photos", norms)
    done = facenas(*WORDS, "--accuracy", table, *judging, "--json")
    assert done.code == 0, done.err
    top = json.loads(done.out)["top"]
    judged = [candidate["judged_ap"] for candidate in top]
    assert len(top) in (3, 4)
    assert judged == sorted(judged, reverse=True)
    assert all(ELASTIC.space.holds(parse_architecture(candidate["architecture"])) for candidate in top)


def test_what_does_not_fit_is_one_line_with_the_cure(facenas: Run, table: Path, tmp_path: Path) -> None:
    other = write_supernet(tmp_path / "other.safetensors", ELASTIC, seed=1)
    write_synthetic_set(tmp_path / "data", 16, width_px=96, height_px=64)
    for words, said in (
        (("--space", "facenas-edge", "--rank-by", "accuracy"), "needs an accuracy table"),
        (("--space", "facenas-edge", "--accuracy", table), "no elastic space 'facenas-edge'"),
        (("--judge", "2"), "needs labelled photos"),
        (("--data", tmp_path / "data"), "belong to --judge"),
        (
            ("--judge", "1", "--accuracy", table, "--data", tmp_path / "data", "--supernet", other),
            "give the one that it is of",
        ),
    ):
        done = facenas(*WORDS, *words)
        assert done.code == 2, words
        assert said in done.err, done.err
        assert done.err.count("\n") == 1 or "judging" in done.err, done.err
