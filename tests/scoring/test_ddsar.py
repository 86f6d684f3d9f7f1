"""The score equals the released code's, stage by stage, to 1e-9."""

import json
from dataclasses import dataclass
from math import log
from pathlib import Path

import pytest
from helpers.random_architectures import backbones
from hypothesis import given

from facenas.architecture import Backbone, parse_architecture, parse_stage
from facenas.errors import InputError
from facenas.scoring.ddsar import PAPER_STAGE_WEIGHTS, ScoreSettings, ddsar_score, sar_score, sar_scores

ALPHAS = (0.005, 0.25)


@dataclass(frozen=True)
class Golden:
    """What the released code gives: SAR by stage and DDSAR by alpha, and its count of layers."""

    architecture: str
    sar: tuple[tuple[float, ...], tuple[float, ...]]
    ddsar: tuple[float, float]
    layers: int


GOLDEN = {
    "0.5G": Golden(
        "SuperConvK3BNRELU(3,32,2,1)SuperResIDWE1K3(32,32,2,8,1)SuperResIDWE1K7(32,64,2,40,1)"
        "SuperResIDWE1K7(64,120,2,40,2)SuperResIDWE1K5(120,160,2,120,1)",
        (
            (2.493377413337479, 12.050960941098829, 11.260681819436842, 10.46105317297769, 8.851641449629485),
            (3.228377413337479, 14.500960941098828, 15.670681819436842, 19.281053172977693, 12.281641449629484),
        ),
        (9.335759107722323, 13.177359107722323),
        6,
    ),
    "2.5G": Golden(
        "SuperConvK3BNRELU(3,24,2,2)SuperResK3K3(24,32,2,24,4)SuperResK3K3(32,56,2,16,4)"
        "SuperResK5K5(56,88,2,8,5)SuperResK1K5K1(88,128,2,8,4)",
        (
            (11.29786173744614, 12.436393780045313, 11.099835346350012, 10.03255374372665, 9.338911478695719),
            (12.767861737446141, 18.316393780045313, 16.979835346350015, 22.282553743726652, 23.05891147869572),
        ),
        (11.132108326429336, 18.06070832642934),
        19,
    ),
    "10G": Golden(
        "SuperConvK3BNRELU(3,56,2,2)SuperResK1K3K1(56,80,2,40,5)SuperResK1K5K1(80,112,2,32,5)"
        "SuperResK1K3K1(112,168,2,16,4)SuperResK7K7(168,256,2,8,1)",
        (
            (11.639607240824478, 14.012800705596737, 12.719793908135246, 10.887200689086779, 7.901007889162892),
            (13.109607240824479, 26.26280070559674, 29.869793908135247, 20.68720068908678, 11.33100788916289),
        ),
        (12.041123028661735, 22.037123028661735),
        17,
    ),
    "34G": Golden(
        "SuperConvK3BNRELU(3,56,2,2)SuperResK1K3K1(56,224,2,80,5)SuperResK1K3K1(224,488,2,40,6)"
        "SuperResK1K3K1(488,624,2,72,4)SuperResK1K7K1(624,816,2,24,3)",
        (
            (11.639607240824478, 14.23594601869128, 13.027277340153981, 11.348477141904828, 9.650106963658876),
            (13.109607240824479, 26.48594601869128, 27.727277340153982, 21.148477141904827, 22.880106963658875),
        ),
        (12.436182790158792, 22.79968279015879),
        20,
    ),
    "init-0.5G": Golden(
        "SuperConvK3BNRELU(3,32,2,1)SuperResIDWE1K3(32,32,2,8,1)SuperResIDWE4K3(32,48,2,32,1)"
        "SuperResIDWE1K3(48,96,2,48,1)SuperResIDWE1K3(96,128,2,96,1)",
        (
            (2.493377413337479, 12.050960941098829, 11.453588125134592, 9.931811773302812, 8.769306731574991),
            (3.228377413337479, 14.500960941098828, 13.903588125134592, 12.381811773302811, 11.21930673157499),
        ),
        (9.280488760399834, 11.387488760399831),
        5,
    ),
}


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", GOLDEN)
def test_scores_equal_the_released_codes(name: str, alpha: float) -> None:
    golden = GOLDEN[name]
    backbone = parse_architecture(golden.architecture).backbone
    sar = sar_scores(backbone, ScoreSettings(alpha=alpha))
    assert sar == pytest.approx(golden.sar[ALPHAS.index(alpha)], abs=1e-9, rel=0)
    assert ddsar_score(sar) == pytest.approx(golden.ddsar[ALPHAS.index(alpha)], abs=1e-9, rel=0)
    assert backbone.layers == golden.layers


def test_the_golden_numbers_here_are_those_of_the_shared_file(shared_dir: Path) -> None:
    shared = json.loads((shared_dir / "reference" / "damofd_golden.json").read_text())
    assert set(shared) == set(GOLDEN)
    for name, entry in shared.items():
        golden = GOLDEN[name]
        assert entry["arch"] == golden.architecture
        assert entry["layers"] == golden.layers
        for alpha, sar, ddsar in zip(ALPHAS, golden.sar, golden.ddsar, strict=True):
            assert tuple(entry[f"sar@{alpha}"]) == sar
            assert entry[f"ddsar@{alpha}"] == ddsar


# Input channels and entering side of every term, and the kernel sum, of each family's row of the paper's table.
TERMS: dict[str, tuple[list[tuple[int, int]], int]] = {
    "SuperConvK5BNRELU(12,16,2,2)": ([(12, 64), (16, 32)], 10),
    "SuperResK3K5(12,16,2,24,2)": ([(12, 64), (24, 32), (16, 32), (24, 32)], 16),
    "SuperResK1K5K1(12,16,2,24,1)": ([(12, 64), (24, 64), (24, 32), (16, 32), (24, 32), (24, 32)], 14),
    "SuperResIDWE2K5(12,16,2,20,1)": ([(12, 64), (40, 64), (40, 32), (20, 32), (40, 32), (40, 32)], 14),
}


@pytest.mark.parametrize("text", TERMS)
def test_the_terms_of_each_family(text: str) -> None:
    terms, kernels = TERMS[text]
    regions = log(64**2 * 3) + sum(side_px**2 * 3 * log(channels / 3) for channels, side_px in terms)
    assert sar_score(parse_stage(text), 64, 0.1) == pytest.approx(log(regions) + 0.1 * kernels, abs=1e-12)


@given(backbones(least_channels=3, most_sublayers=8))
def test_alpha_weighs_the_kernels_alone(backbone: Backbone) -> None:
    without, with_kernels = (sar_scores(backbone, ScoreSettings(alpha=alpha)) for alpha in (0, 1))
    for stage, less, more in zip(backbone.stages, without, with_kernels, strict=True):
        per_sublayer = (more - less) / stage.sublayers
        assert per_sublayer == pytest.approx(round(per_sublayer), abs=1e-6)
        assert per_sublayer > 0


@pytest.mark.parametrize("text", ["SuperConvK3BNRELU(64,{},2,1)", "SuperResK5K3(64,{},2,24,1)"])
def test_the_width_of_a_single_last_convolution_is_invisible(text: str) -> None:
    narrow, wide = (sar_score(parse_stage(text.format(width)), 14, 0.25) for width in (64, 512))
    assert narrow == wide


def test_the_stage_weights_are_the_papers_and_must_be_five() -> None:
    assert PAPER_STAGE_WEIGHTS == (0.20, 0.27, 0.25, 0.18, 0.10)
    assert ddsar_score((1, 2, 3, 4, 5), (1, 0, 0, 0, 0.5)) == 3.5
    with pytest.raises(ValueError, match="zip"):
        ddsar_score((1, 2, 3, 4))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alpha": -0.1}, "alpha -0.1"),
        ({"alpha": 11}, "alpha 11"),
        ({"alpha": float("nan")}, "alpha nan"),
        ({"resolution_px": 0}, "resolution 0"),
        ({"resolution_px": 225}, "resolution 225"),
        ({"stage_weights": (0.5, 0.5)}, "stage weights (0.5, 0.5)"),
        ({"stage_weights": (0.2, 0.2, 0.2, 0.2, 1.2)}, "1.2"),
        ({"stage_weights": (0.2, 0.2, 0.2, 0.2, float("nan"))}, "nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(InputError) as raised:
        ScoreSettings(**settings)  # type: ignore[arg-type]
    assert words in str(raised.value)


def test_a_stage_too_narrow_for_a_score_is_refused() -> None:
    with pytest.raises(InputError, match=r"'SuperResK3K3\(3,8,2,1,1\)' has no SAR-Score"):
        sar_score(parse_stage("SuperResK3K3(3,8,2,1,1)"), 224, 0.25)
