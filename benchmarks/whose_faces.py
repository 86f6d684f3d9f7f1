"""Do two kinds of faces get two detectors, each the better one for its own? A webcam's large faces, a crowd's small ones.

    python benchmarks/whose_faces.py --data WIDER_VAL --photos PHOTOS [--latency 3ms] [--device cpu] [--table F] [--out F]

One budget is searched for the faces of each, over all inputs of 4:3, AP predicted by the accuracy table that ships. Both
answers are slices of the supernet that ships (their norms are of `--photos`), exported and judged alike, each at its input: on
the labelled photos, on those cropped until one face is as large as a webcam's (recall), and on synthetic photos. AP is the mean
over octaves of face size by the shares that these have among the faces asked for, as it was predicted.
Exit code 1 where one is not better than the other for its own faces.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import fsum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from script import about_this_run, run_script

import facenas
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.data.face_sizes import OCTAVE_NAMES, FaceSizes, face_sizes_between
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.evaluation.blind_spots import find_blind_spots
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.evaluation.protocols import evaluate
from facenas.evaluation.wider import Evaluation
from facenas.files import write_json
from facenas.progress import Progress
from facenas.searching.objective import Objective
from facenas.searching.result import SearchResult
from facenas.spaces import DEFAULT_SPACE
from facenas.steps.export import ExportSettings
from facenas.steps.search import SearchSettings
from facenas.units import DEFAULT_INPUT
from facenas.zoo import zoo_supernet

WEBCAM, CROWD = "webcam", "crowd"
FACES = {
    WEBCAM: face_sizes_between(100, 400, DEFAULT_INPUT),
    CROWD: face_sizes_between(6, 24, DEFAULT_INPUT),
}
CLOSE_UPS = ("20%", "40%", "60%")  # of the frame's longer side, which a webcam's faces are
SYNTHETIC_PHOTOS = 200


@dataclass(frozen=True)
class Answer:
    """What was found for one kind of faces, and how it fares for each kind: AP on real and on synthetic photos, recall of
    close-ups by the share of the frame."""

    input: str
    architecture: str
    latency_ms: float
    predicted_ap: float
    real_ap: Mapping[str, float]
    synthetic_ap: Mapping[str, float]
    close_ups: Mapping[str, float]

    def figures(self, kind: str) -> dict[str, float]:
        """Those that are of one kind of faces."""
        aps = {"photos, AP": self.real_ap[kind], "synthetic, AP": self.synthetic_ap[kind]}
        return aps | (
            {f"close-ups of {share}, recall": found for share, found in self.close_ups.items()}
            if kind == WEBCAM
            else {}
        )


def ap_for(faces: FaceSizes, evaluation: Evaluation) -> float:
    """The AP of the octaves, weighted by these faces."""
    shares = dict(zip(OCTAVE_NAMES, faces.shares(), strict=True))
    known = {name: ap for name, ap in evaluation.by_size.items() if ap is not None and shares[name]}
    if not known:
        raise InputError("the photos show no face as large or as small as those asked for; give others with --data")
    return round(fsum(shares[name] * ap for name, ap in known.items()) / fsum(map(shares.__getitem__, known)), 4)


def answer(found: SearchResult, device: str, data: tuple[Path, Path, Path], folder: Path, progress: Progress) -> Answer:
    """What was found as a slice, exported into `folder` and judged; `data`: labelled photos, synthetic ones, and those for
    the norms."""
    labelled, synthetic, photos = data
    supernet, weights, model = zoo_supernet(DEFAULT_SPACE), folder / "slice.safetensors", folder / "slice.onnx"
    if supernet is None:
        raise InputError(f"no supernet of {DEFAULT_SPACE} ships with this checkout")
    facenas.slice(supernet, found.best.architecture, photos=photos, out=weights, progress=progress)
    facenas.export(weights, settings=ExportSettings(found.input), out=model)
    detector, judged_on = facenas.FaceDetector(model), load_evaluation_set(labelled)
    real = evaluate(detector, judged_on, progress)
    drawn = evaluate(detector, load_evaluation_set(synthetic), progress)
    sizes = find_blind_spots(detector, judged_on, conditions=("size",), progress=progress).recalls["size"]
    return Answer(
        found.input,
        found.best.architecture,
        round(found.best.latency_ms[device], 4),
        round(found.best.ap or 0.0, 4),
        {name: ap_for(faces, real) for name, faces in FACES.items()},
        {name: ap_for(faces, drawn) for name, faces in FACES.items()},
        {share: sizes[share].share or 0.0 for share in CLOSE_UPS},
    )


def main(
    data: Annotated[Path, typer.Option(help="labelled photos, for example WIDER_val")],
    photos: Annotated[Path, typer.Option(help="other photos, for the norms of the slices")],
    latency: Annotated[str, typer.Option(help="the budget of both")] = "3ms",
    device: Annotated[str, typer.Option(help="target of the budget")] = "cpu",
    table: Annotated[Path | None, typer.Option(help="latency table (default: this machine's)")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Search twice, judge both."""
    answers = {}
    with progress_bar() as progress, TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_synthetic_set(folder / "synthetic", SYNTHETIC_PHOTOS, progress=progress)
        for kind, faces in FACES.items():
            settings = SearchSettings(faces=faces, rank_by=Objective.ACCURACY)
            tables = () if table is None else (table,)
            found = facenas.search(
                latency, device, input_size="any", settings=settings, tables=tables, progress=progress
            )
            answers[kind] = answer(found, device, (data, folder / "synthetic", photos), folder, progress)
    rows = [
        (f"{kind}: {name}", *(f"{each.figures(kind)[name]:.3f}" for each in answers.values()))
        for kind in FACES
        for name in answers[kind].figures(kind)
    ]
    columns = (
        "judged on",
        *(f"for a {kind}: {each.input}, {each.latency_ms:.2f} ms" for kind, each in answers.items()),
    )
    print_table(f"{latency} on {device}, for two kinds of faces", columns, rows)
    if out is not None:
        about = about_this_run() | {"device": device, "latency": latency}
        write_json(out, about | {"answers": {kind: asdict(each) for kind, each in answers.items()}})
    if not all(
        value > answers[other].figures(kind)[name]
        for kind, other in ((WEBCAM, CROWD), (CROWD, WEBCAM))
        for name, value in answers[kind].figures(kind).items()
    ):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
