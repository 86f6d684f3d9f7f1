"""A file's own decoder against ours in numpy: the same faces, and what it takes.

    python benchmarks/decode.py PHOTOS [PHOTOS ...] [--count 200] [--checkpoint F] [--program build/detect] [--out F]

Photos are taken evenly from the folders, as many of each. For ONNX and OpenVINO in fp32, and ONNX in int8, a file with the
decoder and one without are run on all photos, faces from the least score that the file keeps; both are timed in turns on the
same photos, with the numpy decoder after the one without. `--program`: examples/deploy/detect.cpp, compiled, whose faces are
compared, too. Exit code 1 where faces differ.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from script import about_this_run, run_script

from facenas.arrays import FloatArray
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.data.folder import photos_below
from facenas.data.image import read_image
from facenas.detector.face_detector import DEFAULT_MIN_SCORE, FaceDetector
from facenas.evaluation.decoder_check import LEAST_EQUAL, DecoderParity, compare_decoders
from facenas.evaluation.protocols import EVALUATION_MIN_SCORE
from facenas.files import write_json
from facenas.pipeline.faces import Faces
from facenas.pipeline.postprocess import find_faces
from facenas.progress import Progress
from facenas.steps.export import ExportSettings, export
from facenas.zoo import DEFAULT_NAME

CASES = (("onnx", "fp32"), ("openvino", "fp32"), ("onnx", "int8"))
_LOW = 0.2
_EQUAL_IOU, _EQUAL_SCORE = (
    0.999,
    1e-3,
)  # of the program, which reads JPEG by a library of its own


def main(
    folders: Annotated[list[Path], typer.Argument(help="folders of photos")],
    count: Annotated[int, typer.Option(help="how many photos")] = 200,
    checkpoint: Annotated[Path, typer.Option(help="checkpoint.safetensors, or a name of the zoo")] = Path(DEFAULT_NAME),
    program: Annotated[Path | None, typer.Option(help="the compiled examples/deploy/detect.cpp")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Export, compare and time."""
    photos = [path for folder in folders for path in chosen(folder, count // len(folders))]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="facenas-") as place, progress_bar() as progress:
        for file_format, precision in CASES:
            pair = [
                exported(checkpoint, file_format, precision, Path(place), decode=decode, progress=progress)
                for decode in (False, True)
            ]
            rows.append({"file": f"{file_format} {precision}", **compared(pair[0], pair[1], photos, progress)})
        if program is not None:
            parity = program_parity(program, Path(place, "onnx-fp32-raw.onnx"), photos, progress)
            rows.append({"file": "detect.cpp", "photos": len(photos), **asdict(parity)})
    if out is not None:
        write_json(out, about_this_run() | {"decoders": rows})
    show(rows)
    if any(row["equal"] < LEAST_EQUAL for row in rows):
        sys.exit(1)


def chosen(folder: Path, count: int) -> list[Path]:
    """Photos evenly from all of a folder."""
    names = photos_below(folder)
    return [folder / name for name in names[:: max(1, len(names) // count)][:count]]


def exported(
    checkpoint: Path, file_format: str, precision: str, place: Path, *, decode: bool, progress: Progress
) -> FaceDetector:
    """One file, loaded."""
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[file_format]
    path = place / f"{file_format}-{precision}-{'decoded' if decode else 'raw'}{suffix}"
    export(checkpoint, file_format, precision, settings=ExportSettings(decode=decode), out=path, progress=progress)
    return FaceDetector(path)


def compared(raw: FaceDetector, decoded: FaceDetector, photos: list[Path], progress: Progress) -> dict[str, Any]:
    """Faces of both on all photos, and milliseconds in turns."""
    ours: list[Faces] = []
    theirs: list[Faces] = []
    times: dict[str, list[float]] = {"network_ms": [], "decoder_in_file_ms": [], "decoder_in_numpy_ms": []}
    decoding = decoded.description.decoding
    assert decoding is not None
    for index, path in enumerate(photos):
        image, _ = raw.pipeline.network_input(read_image(path))
        started = time.perf_counter()
        maps = raw.model.run(image)
        network = time.perf_counter()
        ours.append(find_faces(maps, EVALUATION_MIN_SCORE, raw.description.nms_iou))
        numpy = time.perf_counter()
        theirs.append(decoding(decoded.model.run(image), EVALUATION_MIN_SCORE))
        ended = time.perf_counter()
        times["network_ms"].append(network - started)
        times["decoder_in_numpy_ms"].append(numpy - started)
        times["decoder_in_file_ms"].append(ended - numpy)
        progress(index + 1, len(photos), "comparing decoders")
    low = {name: round(float(np.quantile(values, _LOW)) * 1e3, 3) for name, values in times.items()}
    return {"photos": len(photos), **asdict(compare_decoders(ours, theirs)), **low}


def program_parity(program: Path, model: Path, photos: list[Path], progress: Progress) -> DecoderParity:
    """What the program finds against `facenas detect`."""
    detector = FaceDetector(model)
    ours, theirs = [], []
    for index, path in enumerate(photos):
        words = [str(word) for word in (program, model, path, detector.description.input_size)]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
        rows: FloatArray = np.array([line.split()[:5] for line in lines], np.float32).reshape(-1, 5)
        theirs.append(Faces(rows[:, :4], rows[:, 4], None))
        ours.append(detector(read_image(path), DEFAULT_MIN_SCORE))
        progress(index + 1, len(photos), "comparing the program")
    return compare_decoders(ours, theirs, _EQUAL_IOU, _EQUAL_SCORE)


def show(rows: list[dict[str, Any]]) -> None:
    """One line a file."""
    columns = (
        "file",
        "photos",
        "faces",
        "equal",
        "least IoU",
        "scores within",
        "network",
        "with decoder",
        "with numpy's",
    )
    names = ("network_ms", "decoder_in_file_ms", "decoder_in_numpy_ms")
    cells = [
        (
            *(str(row[name]) for name in ("file", "photos", "faces")),
            f"{row['equal']:.5f}",
            f"{row['iou']:.5f}",
            f"{row['score']:.1e}",
            *(f"{row[name]:.2f} ms" if name in row else "" for name in names),
        )
        for row in rows
    ]
    print_table("a file's own decoder against numpy's", columns, cells)


if __name__ == "__main__":
    run_script(main)
