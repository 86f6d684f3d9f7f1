"""`facenas detect`: faces in photos, videos or of a camera, as a table, as JSON, or drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from facenas.pipeline.faces import Faces


def detect(
    images: Annotated[list[Path], typer.Argument(help="photos, videos, folders, quoted patterns, or a camera's index")],
    model: Annotated[
        Path | None, typer.Option(help="exported model, or the name of one that ships (default: facenas-12ms)")
    ] = None,
    min_score: Annotated[float, typer.Option(help="least score of a face, between 0 and 1")] = 0.3,
    long_side: Annotated[
        int | None, typer.Option(help="scale photos to this long side in pixels instead of the model's input size")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="at most so many frames of a video or camera")] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the photos with boxes drawn")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON list")] = False,
) -> None:
    """Find faces in photos, in videos, or in what a camera sees (until Ctrl-C, or --frames)."""
    import time

    from facenas.cli.bar import progress_bar
    from facenas.cli.output import note, print_json
    from facenas.data.image import encode_jpeg
    from facenas.detector.face_detector import FaceDetector
    from facenas.detector.sources import is_moving, list_sources, read_pictures
    from facenas.errors import InputError
    from facenas.files import write_atomic
    from facenas.zoo import model_path, zoo_model

    if not 0 < min_score < 1:
        raise InputError(f"--min-score {min_score} must lie between 0 and 1")
    sources = list_sources(images)
    detector = FaceDetector(zoo_model() if model is None else model_path(model), long_side_px=long_side)
    entries: list[dict[str, Any]] = []
    trouble: InputError | None = None
    started = time.perf_counter()
    with progress_bar() as report:
        for index, source in enumerate(sources):
            try:
                for picture in read_pictures(source, frames):
                    faces = detector(picture.photo, min_score)
                    entries.append({"image": picture.image, "faces": faces_to_json(faces)})
                    if out is not None:
                        write_atomic(out / f"{picture.stem}.jpg", encode_jpeg(faces.draw(picture.photo), 92))
            except InputError as error:
                if not is_moving(source) or not entries:
                    raise
                trouble = error  # what was found so far is told first
                break
            except KeyboardInterrupt:
                if not isinstance(source, int):
                    raise
                break  # how a camera is stopped
            report(index + 1, len(sources), "detecting")
    seconds = time.perf_counter() - started
    kind = "frames" if any(map(is_moving, sources)) else "photos"
    note(f"{len(entries)} {kind} in {seconds:.2f} s, {len(entries) / seconds:.1f} {kind} a second")
    if json:
        print_json(entries)
    else:
        print_faces(entries)
        if out is not None:
            note(f"drawn in {out}")
    if trouble is not None:
        raise trouble


def faces_to_json(faces: "Faces") -> list[dict[str, Any]]:
    """Box, score and landmarks of each face, in pixels of the photo."""
    landmarks = [None] * len(faces) if faces.landmarks is None else faces.landmarks.round(1).tolist()
    boxes, scores = faces.boxes.astype(float).round(1).tolist(), faces.scores.astype(float).round(4).tolist()
    return [
        {"box": box, "score": score, "landmarks": points}
        for box, score, points in zip(boxes, scores, landmarks, strict=True)
    ]


def print_faces(entries: list[dict[str, Any]]) -> None:
    """A row for each photo or frame."""
    from facenas.cli.output import print_table

    rows = []
    for entry in entries:
        best = max((face["score"] for face in entry["faces"]), default=None)
        rows.append((entry["image"], str(len(entry["faces"])), "" if best is None else f"{best:.2f}"))
    print_table("faces", ("photo", "faces", "best score"), rows)
