"""The released spaces hold the published networks; the released accounting gives the release's own figures."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from facenas.architecture import Family, parse_architecture, published_detector
from facenas.errors import InputError
from facenas.scoring.ddsar import ScoreSettings
from facenas.scoring.released import released_flops
from facenas.searching.budgets import Budgets
from facenas.searching.problem import Problem
from facenas.searching.result import run_search
from facenas.spaces.named import SPACE_NAMES, load_space
from facenas.units import Size

START_OF_THE_RELEASE = (
    "SuperConvK3BNRELU(3,32,2,1)SuperResIDWE1K3(32,32,2,8,1)SuperResIDWE4K3(32,48,2,32,1)"
    "SuperResIDWE1K3(48,96,2,48,1)SuperResIDWE1K3(96,128,2,96,1)"
)
# FLOPs that the released code counts of the four published backbones and the one that its 0.5G search starts from.
RELEASED = {
    "damofd-0.5g": 63_135_422,
    "damofd-2.5g": 326_830_000,
    "damofd-10g": 1_341_946_928,
    "damofd-34g": 4_147_297_476,
    START_OF_THE_RELEASE: 64_929_704,
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_accounting_to_the_last_digit(name: str) -> None:
    backbone = (parse_architecture(name) if "(" in name else published_detector(name)).backbone
    assert released_flops(backbone) == RELEASED[name]


def test_the_figures_are_those_of_the_golden_file(shared_dir: Path) -> None:
    golden = json.loads((shared_dir / "reference" / "damofd_golden.json").read_text())
    assert {entry["flops224"] for entry in golden.values()} == set(RELEASED.values())


@pytest.mark.parametrize(
    ("space", "architecture"),
    [
        ("damofd-0.5g", str(published_detector("damofd-0.5g"))),
        ("damofd-0.5g", START_OF_THE_RELEASE),
        ("damofd-2.5g", str(published_detector("damofd-2.5g"))),
    ],
)
def test_the_published_networks_are_in_their_spaces(space: str, architecture: str) -> None:
    detector = parse_architecture(architecture)
    assert load_space(space).holds(detector)


@pytest.mark.parametrize(
    ("name", "least_size"), list(zip(SPACE_NAMES, (100_000_000, 4_000, 4_000, 50_000, 50_000), strict=True))
)
def test_every_space_keeps_its_limits(name: str, least_size: int) -> None:
    space = load_space(name)
    assert space.size > least_size
    assert all(len(set(choices)) == len(choices) for choices in space.stages)
    assert all(stage.out_channels >= stage.in_channels for choices in space.stages for stage in choices)
    for detector in islice(space.random_detectors(np.random.default_rng(0)), 50):
        assert parse_architecture(str(detector)) == detector


def test_the_default_space_leaves_out_what_the_score_overrates() -> None:
    space = load_space("facenas-edge")
    for position, choices in enumerate(space.stages):
        for stage in choices:
            assert stage.family in (Family.CONV, Family.RESIDUAL)
            assert stage.out_channels % 8 == 0
            assert 3 * stage.out_channels >= 4 * stage.in_channels
            assert stage.family is Family.CONV or 2 * stage.bottleneck_channels >= stage.out_channels
            if position < 3:
                assert (stage.family, stage.sublayers) == (Family.CONV, 1)
            if position == 3:
                assert stage.sublayers <= (2 if stage.family is Family.CONV else 1)
    assert all(design.head_channels >= 48 for _, design in space.necks_and_heads)


def test_an_unknown_space_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no search space 'huge'; there are facenas-elastic, facenas-edge"):
        load_space("huge")


def test_the_released_budget_is_met_and_reported() -> None:
    budgets = Budgets({}, layers=14, released_flops=65e6)
    problem = Problem(load_space("damofd-0.5g"), ScoreSettings(alpha=0.25), Size(640, 480), {}, budgets)
    result = run_search(problem, top=1, provenance={})
    best = result.best
    assert best.released_flops == released_flops(parse_architecture(best.architecture).backbone) <= 65e6
    assert best.layers <= 14
    assert best.ddsar > 13.18  # the published network
    assert result.certificate.bound == pytest.approx(best.ddsar, abs=1e-8)
    assert {entry.name: entry.limit for entry in result.ranges}["released_flops"] == 65e6


def space_file(**changes: object) -> str:
    value = {
        "name": "mine",
        "stages": [
            ["SuperConvK3BNRELU(3,16,2,1)"],
            ["SuperResK3K3(16,16,2,8,1)", "SuperResK3K3(16,16,2,8,2)"],
            ["SuperResK3K3(16,32,2,16,1)"],
            ["SuperResK3K3(32,48,2,16,1)", "SuperResIDWE1K3(32,48,2,32,1)"],
            ["SuperResK3K3(48,64,2,16,1)"],
        ],
        "necks_and_heads": {"0": "PAFPN(16)HeadDW(32,2)", "48": "PAFPN(16)HeadDW(48,2)"},
    }
    return json.dumps(value | changes)


def test_a_space_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(space_file())
    space = load_space(str(path))
    assert (space.name, space.size) == ("mine", 4)
    assert space.ends(48)[0].head_channels == 48


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (space_file(stages=[["SuperConvK3BNRELU(3,-16,2,1)"]] * 5), "stage 1: 'SuperConvK3BNRELU\\(3,-16,2,1\\)'"),
        (space_file(stages=[["SuperConvK3BNRELU(3,0,2,1)"]] * 5), "out_channels 0 is outside"),
        (space_file(stages=[["SuperConvK3BNRELU(3,8,1,1)"]] * 5), "stride 1; every stage must halve"),
        (space_file(stages=[["SuperConvK3BNRELU(3,8,2,1)"]] * 5), "holds no network"),
        (space_file(stages=[["SuperConvK3BNRELU(3,8,2,1)"]]), "lists 1 stages, needs 5"),
        (space_file(stages=[[8]] * 5), "stage 1 lists 8, which is no block string"),
        (space_file(stages="all"), "'stages' must be five lists"),
        (space_file(necks_and_heads={}), "for the least width 0"),
        (space_file(necks_and_heads={"0": "PAFPN(16)HeadDW(32,2)", "-1": "PAFPN(16)HeadDW(32,2)"}), "'-1' is no width"),
        (space_file(necks_and_heads={"0": "PAFPN(NaN)Head(32,2)"}), "'PAFPN\\(NaN\\)Head\\(32,2\\)' is no neck"),
        ("[]", "must hold an object"),
        ("{", "not whole JSON"),
    ],
)
def test_an_impossible_space_file_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_space(str(path))
    with pytest.raises(InputError, match=r"mine\.json"):
        load_space(str(path))


def test_a_missing_space_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no space file at"):
        load_space(str(tmp_path / "none.json"))
