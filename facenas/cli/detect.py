"""`facenas detect`: faces in photos, as a table, as JSON, or drawn."""

from pathlib import Path
from typing import Annotated, Any

import typer


def detect(
    images: Annotated[list[Path], typer.Argument(help="photos, or folders of photos")],
    model: Annotated[
        Path | None, typer.Option(help="exported model (default: the one that ships with facenas)")
    ] = None,
    min_score: Annotated[float, typer.Option(help="least score of a face, between 0 and 1")] = 0.3,
    long_side: Annotated[
        int | None, typer.Option(help="scale photos to this long side in pixels instead of the model's input size")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for the photos with boxes drawn")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON list")] = False,
) -> None:
    """Find faces in photos."""
    import time

    from facenas.cli.output import note, print_json, print_table
    from facenas.cli.progress import progress_bar
    from facenas.data.image import encode_jpeg, read_image
    from facenas.detector.face_detector import FaceDetector
    from facenas.detector.shipped import shipped_model_path
    from facenas.errors import InputError
    from facenas.files import write_atomic
    from facenas.report.draw import draw_faces

    if not 0 < min_score < 1:
        raise InputError(f"--min-score {min_score} must lie between 0 and 1")
    paths = list_photos(images)
    detector = FaceDetector(model or shipped_model_path(), long_side_px=long_side)
    entries: list[dict[str, Any]] = []
    started = time.perf_counter()
    with progress_bar() as report:
        for index, path in enumerate(paths):
            photo = read_image(path)
            faces = detector(photo, min_score)
            landmarks = [None] * len(faces) if faces.landmarks is None else faces.landmarks.round(1).tolist()
            found = [
                {"box": box, "score": score, "landmarks": points}
                for box, score, points in zip(
                    faces.boxes.astype(float).round(1).tolist(),
                    faces.scores.astype(float).round(4).tolist(),
                    landmarks,
                    strict=True,
                )
            ]
            entries.append({"image": str(path), "faces": found})
            if out is not None:
                write_atomic(out / f"{path.stem}.jpg", encode_jpeg(draw_faces(photo, faces), 92))
            report(index + 1, len(paths), "detecting")
    seconds = time.perf_counter() - started
    note(f"{len(paths)} photos in {seconds:.2f} s, {len(paths) / seconds:.1f} a second")
    if json:
        print_json(entries)
        return
    rows = []
    for entry in entries:
        best = max((face["score"] for face in entry["faces"]), default=None)
        rows.append((entry["image"], str(len(entry["faces"])), "" if best is None else f"{best:.2f}"))
    print_table("faces", ("photo", "faces", "best score"), rows)
    if out is not None:
        note(f"drawn in {out}")


def list_photos(paths: list[Path]) -> list[Path]:
    """The photos named, and those directly in the folders named. Raises InputError where there is none."""
    from facenas.errors import InputError

    suffixes = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
    photos: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(child for child in path.iterdir() if child.suffix.lower() in suffixes)
            if not inside:
                raise InputError(f"folder {path} holds no photo ({', '.join(sorted(suffixes))}); give another")
            photos += inside
        elif path.is_file():
            photos.append(path)
        else:
            raise InputError(f"no photo at {path}; check the path")
    return photos
