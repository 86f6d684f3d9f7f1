"""Do two kinds of faces get two detectors, each the better one for its own? A webcam's large faces, a crowd's small ones.

    python benchmarks/whose_faces.py --data WIDER_VAL --photos PHOTOS [--latency 3ms] [--device cpu] [--no-calibrate] [--out F]

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
from facenas.evaluation.wider import Evaluation
from facenas.files import write_json
from facenas.latency.this_machine import Calibrate
from facenas.progress import Progress
from facenas.searching.objective import Objective
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
    return round(fsum(shares[name] * ap for name, ap in known.items()) / fsum(map(shares.__getitem__, known)), 4)


def answer(
    kind: str, latency: str, device: str, settings: SearchSettings, data: tuple[Path, Path, Path], progress: Progress
) -> Answer:
    """Search for one kind of faces, cut the slice and judge it; `data`: labelled photos, photos for norms, a folder with
    synthetic ones, where files may be written, too."""
    labelled, photos, folder = data
    found = facenas.search(latency, device, input_size="any", settings=settings, progress=progress)
    weights, model = folder / f"{kind}.safetensors", folder / f"{kind}.onnx"
    facenas.slice(zoo_supernet(DEFAULT_SPACE), found.best.architecture, photos=photos, out=weights, progress=progress)
    facenas.export(weights, settings=ExportSettings(found.input), out=model)
    real = facenas.evaluate(model, labelled, blind_spots=True, progress=progress)
    drawn = facenas.evaluate(model, folder / "synthetic", progress=progress)
    assert real.blind_spots is not None
    sizes = real.blind_spots.recalls["size"]
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
    no_calibrate: Annotated[bool, typer.Option("--no-calibrate", help="take the table that ships as it is")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Search twice, judge both."""
    calibrate = Calibrate.NEVER if no_calibrate else Calibrate.ONCE
    with progress_bar() as progress, TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_synthetic_set(folder / "synthetic", SYNTHETIC_PHOTOS, progress=progress)
        answers = {
            kind: answer(
                kind,
                latency,
                device,
                SearchSettings(faces=faces, rank_by=Objective.ACCURACY, calibrate=calibrate),
                (data, photos, folder),
                progress,
            )
            for kind, faces in FACES.items()
        }
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
    own, others = (WEBCAM, CROWD), (CROWD, WEBCAM)
    for kind, other in zip(own, others, strict=True):
        theirs = answers[other].figures(kind)
        if any(value <= theirs[name] for name, value in answers[kind].figures(kind).items()):
            sys.exit(1)


if __name__ == "__main__":
    run_script(main)
