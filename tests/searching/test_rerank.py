"""Reranking by NASWOT and Zen-score: their definitions on cases that can be worked out, order, and repeatability."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.architecture import parse_architecture
from facenas.scoring.ddsar import ScoreSettings
from facenas.scoring.zero_cost import NASWOT_INPUTS, ZeroCostProxy, naswot_score, zen_score
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.problem import Problem
from facenas.searching.rerank import rerank
from facenas.searching.result import SearchResult, run_search

torch = pytest.importorskip("torch")

SIDE_PX = 32
CONVS = "SuperConvK3BNRELU(3,8,2,1)" + "SuperConvK3BNRELU(8,8,2,1)" * 4
DEEPER = "SuperConvK3BNRELU(3,8,2,1)" + "SuperConvK3BNRELU(8,8,2,4)" * 4
RESIDUALS = "SuperConvK3BNRELU(3,8,2,1)" + "SuperResK3K3(8,8,2,8,2)" * 4


@pytest.fixture(scope="module")
def result() -> SearchResult:
    settings = ScoreSettings(resolution_px=64)
    problem = Problem(tiny_space(), settings, TINY_INPUT, {"cpu": TableModel(tiny_table())}, Budgets({"cpu": 1000.0}))
    return run_search(problem, top=3, provenance={"cpu": "measured"})


@pytest.mark.parametrize("measure", list(ZeroCostProxy))
def test_the_highest_comes_first_and_both_values_are_kept(result: SearchResult, measure: ZeroCostProxy) -> None:
    seen: list[tuple[int, int]] = []
    reranked = rerank(result, measure, seed=1, progress=lambda done, total: seen.append((done, total)))
    values = [candidate.reranked[measure.value] for candidate in reranked.top]
    assert values == sorted(values, reverse=True)
    assert {c.architecture: c.ddsar for c in reranked.top} == {c.architecture: c.ddsar for c in result.top}
    assert reranked.to_json()["reranked"] == {measure.value: values[0]}
    assert reranked.certificate.optimal is (reranked.best.architecture == result.best.architecture)
    assert reranked.certificate.bound == result.certificate.bound
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert "reranked" not in result.to_json()


@pytest.mark.parametrize("score", [naswot_score, zen_score])
@pytest.mark.parametrize("architecture", [CONVS, RESIDUALS, "damofd-0.5g"])
def test_a_seed_repeats_itself_and_leaves_torch_as_it_was(score: object, architecture: str) -> None:
    from facenas.architecture import resolve_architecture

    detector = resolve_architecture(architecture)
    torch.manual_seed(5)
    expected = float(torch.rand(()))
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    first = score(detector, SIDE_PX, 0)  # type: ignore[operator]
    assert float(torch.rand(())) == expected
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert score(detector, SIDE_PX, 0) == first  # type: ignore[operator]
    assert score(detector, SIDE_PX, 1) != first  # type: ignore[operator]
    assert np.isfinite(first)


def test_naswot_is_the_log_determinant_of_what_codes_have_in_common() -> None:
    """By hand: the same network's codes, compared pair by pair."""
    from facenas.networks.network import DetectorNetwork

    detector = parse_architecture(CONVS)
    torch.manual_seed(3)
    network = DetectorNetwork(detector).train()
    x = torch.randn(NASWOT_INPUTS, 3, SIDE_PX, SIDE_PX)
    codes = []
    with torch.no_grad():
        for stage in range(1, 6):
            conv = network.get_submodule(f"backbone.stage{stage}.0.conv")
            x = torch.relu(network.get_submodule(f"backbone.stage{stage}.0.norm")(conv(x)))
            codes.append((x > 0).flatten(1).numpy())
    code = np.concatenate(codes, axis=1)
    kernel = (code[:, None] == code[None]).sum(axis=2)
    expected = np.linalg.slogdet(kernel.astype(float)).logabsdet
    assert naswot_score(detector, SIDE_PX, 3) == pytest.approx(expected, abs=0.05)


def test_zen_grows_with_depth_and_width_and_does_not_see_residual_links() -> None:
    convs, deeper = zen_score(parse_architecture(CONVS), SIDE_PX, 0), zen_score(parse_architecture(DEEPER), SIDE_PX, 0)
    wider = zen_score(parse_architecture(CONVS.replace("8", "32")), SIDE_PX, 0)
    assert convs < deeper
    assert convs < wider
    # Without links a residual stage of two 3x3 pairs is a chain of four 3x3 convolutions.
    residuals = zen_score(parse_architecture(RESIDUALS), SIDE_PX, 0)
    plain = parse_architecture(DEEPER)
    assert residuals == pytest.approx(zen_score(plain, SIDE_PX, 0), rel=0.1)


def test_candidates_of_equal_value_stay_in_order(result: SearchResult) -> None:
    twice = replace(result, top=(result.top[0], replace(result.top[0], ddsar=0.0)))
    assert [candidate.ddsar for candidate in rerank(twice, ZeroCostProxy.ZEN).top] == [result.top[0].ddsar, 0.0]
