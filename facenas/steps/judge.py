"""Judge: the candidates of a search as slices of a supernet, run on labelled photos; the best of them is chosen.

Predictions of accuracy order networks that differ; among near-equals only judging tells.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from facenas.accuracy.appraisal import SliceJudge
from facenas.architecture import parse_architecture
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.given import given_checkpoint
from facenas.progress import Progress
from facenas.searching.result import SearchResult
from facenas.units import Size


@dataclass(frozen=True)
class Judging:
    """`supernet`: the checkpoint that slices are cut from; `data`: labelled photos to judge on; `photos`: folder for the
    slices' norms (default: those judged on, whose labels take no part in that)."""

    supernet: Path
    data: Path
    photos: Path | None = None


def judge_slices(judging: Judging, result: SearchResult, input_size: Size, progress: Progress) -> SearchResult:
    """The result with its candidates judged, best first. The certificate calls the choice optimal only where it is still
    the one that was certified.

    Raises InputError where the accuracy table of the result is of another supernet, or no face is in the photos.
    """
    # torch, which a search that judges nothing does without
    from facenas.networks.norm_photos import choose_norm_photos
    from facenas.networks.slices import open_supernet

    supernet = open_supernet(given_checkpoint(judging.supernet))
    if result.accuracy is not None and result.accuracy.sha256 != supernet.sha256:
        raise InputError(
            f"the accuracy table is of supernet {result.accuracy.supernet} with SHA-256 {result.accuracy.sha256[:12]},"
            f" {judging.supernet} has {supernet.sha256[:12]}; give the one that it is of, or appraise this one"
        )
    norms = choose_norm_photos(judging.photos or judging.data)
    batches, judge = list(norms.batches()), SliceJudge(load_evaluation_set(judging.data), [input_size])
    for problem in judge.problems:
        progress.note(f"left out: {problem}")
    judged = []
    for index, candidate in enumerate(result.top):
        checkpoint = supernet.slice(parse_architecture(candidate.architecture), batches, norms.to_json())
        figures = judge(checkpoint).precision[str(input_size)]
        ap = figures.get("mean", figures.get("all"))
        if ap is None:
            raise InputError(f"{judging.data} holds no face that counts; give labelled photos with faces")
        judged.append(replace(candidate, judged_ap=ap))
        progress(index + 1, len(result.top), "judging slices")
    best = sorted(judged, key=lambda candidate: -(candidate.judged_ap or 0.0))
    optimal = result.certificate.optimal and best[0].architecture == result.best.architecture
    return replace(result, top=tuple(best), certificate=replace(result.certificate, optimal=optimal))
