"""Rerank: a search's best candidates put in the order of another measure of untrained networks."""

from dataclasses import replace

from facenas.architecture import parse_architecture
from facenas.progress import DoneOf
from facenas.scoring.zero_cost import ZeroCostProxy, naswot_score, require_torch, zen_score
from facenas.searching.candidate import Candidate
from facenas.searching.result import SearchResult


def rerank(result: SearchResult, measure: ZeroCostProxy, seed: int = 0, progress: DoneOf | None = None) -> SearchResult:
    """The result with `reranked` of every candidate of `top`, the highest first; equal ones stay as they were.

    The square input has the side that the score assumes. The certificate calls the choice optimal only where it is still
    the one that was certified. Raises MissingPackageError without torch.
    """
    require_torch()
    value_of = naswot_score if measure is ZeroCostProxy.NASWOT else zen_score
    top: list[Candidate] = []
    for number, candidate in enumerate(result.top, 1):
        value = value_of(parse_architecture(candidate.architecture), result.score.resolution_px, seed)
        top.append(replace(candidate, reranked={measure.value: round(value, 4)}))
        if progress is not None:
            progress(number, len(result.top))
    first = top[0]
    top.sort(key=lambda candidate: -candidate.reranked[measure.value])
    optimal = result.certificate.optimal and top[0] is first
    return replace(result, top=tuple(top), certificate=replace(result.certificate, optimal=optimal))
