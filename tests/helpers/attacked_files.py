"""The kinds of file that come from outside: how an honest one is made, and how facenas reads it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facenas.architecture import published_detector
from facenas.checkpoint import load_weights, save_checkpoint
from facenas.data.image import encode_jpeg, photo_size, read_image
from facenas.data.source import open_dataset
from facenas.detector.face_detector import FaceDetector
from facenas.evaluation.official_truth import read_official
from facenas.latency.journal import Journal
from facenas.latency.predictor import predict
from facenas.latency.table import load_table
from facenas.line_journal import LineJournal
from facenas.progress import SILENT
from facenas.ranking.contenders import gather_contenders
from facenas.report.run_page import write_report
from facenas.spaces.file import read_space
from facenas.typed_json import read_file
from facenas.units import Size
from facenas.zoo import zoo_accuracy_table

Form = Literal["json", "text", "bytes", "safetensors", "onnx"]
SIZE = Size(64, 64)


@dataclass(frozen=True)
class Kind:
    """`make` writes an honest file, or a folder of them, and returns its path; `read` reads it as a command does; `attacked`:
    which files of it are changed in turn."""

    form: Form
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    attacked: Callable[[Path], list[Path]] = lambda path: [path]


def _table(folder: Path) -> Path:
    from facenas.latency.shipped import shipped_table_path
    from facenas.units import DEFAULT_INPUT

    shipped = shipped_table_path("cpu", DEFAULT_INPUT)
    assert shipped is not None
    value = json.loads(shipped.read_text())
    value["operators"] = value["operators"][:60]
    (folder / "table.json").write_text(json.dumps(value))
    return folder / "table.json"


def _read_table(path: Path) -> object:
    from facenas.errors import TableError
    from facenas.report.table_page import write_table_page

    table = load_table(path)
    write_table_page(table, path.with_suffix(".html"))
    try:
        return predict(published_detector("damofd-0.5g"), table, table.input_size)
    except TableError as error:
        return error


def _run(folder: Path) -> Path:
    from helpers.report_runs import write_run

    return folder / "run" if (folder / "run").exists() else write_run(folder / "run")


def _search(folder: Path) -> Path:
    from helpers.report_runs import search

    (folder / "search.json").write_text(json.dumps(search()))
    return folder / "search.json"


def _ranking(folder: Path) -> Path:
    from facenas.ranking.halving import HalvingSettings, rank
    from facenas.training.recipe import Recipe
    from helpers.tiny_ranking import ARCHITECTURES

    out = folder / "ranking"
    photos = _tiny_photos(folder)

    def untrained(tasks: Any, *_: object) -> list[Any]:
        from facenas.files import write_json
        from facenas.ranking.halving import RungResult

        results = [RungResult({"all": 0.5 + 0.1 * number}, None) for number, _ in enumerate(tasks)]
        for task, result in zip(tasks, results, strict=True):
            write_json(task.result_file, {"epochs": task.epochs, **asdict(result)})
        return results

    contenders = gather_contenders(None, 1, ARCHITECTURES).entries
    settings = HalvingSettings(Recipe(size_px=64, batch_size=2), 2, SIZE)
    rank(contenders, photos, settings, out, untrained, SILENT, details={"data": "tiny"})
    return out


@cache
def _tiny_photos(folder: Path) -> Any:
    from facenas.data.synthetic import write_synthetic_set
    from facenas.training.photos import training_photos

    write_synthetic_set(folder / "photos", 4, width_px=96, height_px=96)
    return training_photos(folder / "photos", folder / "photos")


def _read_ranking(out: Path) -> object:
    from facenas.ranking.halving import HalvingSettings, rank
    from facenas.training.recipe import Recipe
    from helpers.tiny_ranking import ARCHITECTURES

    contenders = gather_contenders(None, 1, ARCHITECTURES).entries
    settings = HalvingSettings(Recipe(size_px=64, batch_size=2), 2, SIZE)
    before = {path: path.read_bytes() for path in out.rglob("*.json")}
    try:
        return rank(contenders, _tiny_photos(out.parent), settings, out, _trains, SILENT, details={"data": "tiny"})
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def _trains(*_: object) -> Any:
    from facenas.errors import TrainingError

    raise TrainingError("the result that is missing would be made anew")


def _evolution(folder: Path) -> Path:
    path = folder / "evolution.json"
    _evolve(path, resume=False)
    return path


def _evolve(path: Path, *, resume: bool) -> object:
    from facenas.searching.budgets import Budgets
    from facenas.searching.evolution import EvolutionSettings, run_evolution
    from helpers.brute_force import Everything, problem_of, random_space

    problem = problem_of(Everything(random_space(3, 3), {}), Budgets({}))
    settings = EvolutionSettings(candidates=400, population=40)
    return run_evolution(problem, settings, top=1, provenance={}, state_path=path, resume=resume)


def _profile_journal(folder: Path) -> Path:
    plan = {"device": "cpu", "networks": ["a", "b"]}
    journal = LineJournal(folder / "t.journal", plan, "profile", resume=False)
    for number in range(30):
        sample = {"end_to_end_ns": [9, 8], "layers_ns": {"x": [4, 4]}, "overhead_ns": [1, 1], "companion_ns": 5}
        journal.append({"round": number, "network": "a", "seconds": 0.5, **sample})
    return folder / "t.journal"


def _read_journal(path: Path) -> object:
    return Journal(path, {"device": "cpu", "networks": ["a", "b"]}, resume=True)


def _devices(folder: Path) -> Path:
    path = folder / "facenas" / "devices.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        '[nano]\nhost = "user@jetson.local"\nruntime = "tensorrt"\nprecision = "fp16"\nthreads = 1\npython = "python3"\n'
        '\n[pi]\nhost = "local"\nruntime = "onnxruntime"\nprecision = "fp32"\n'
    )
    return path


def _read_devices(path: Path) -> object:
    import os

    from facenas.devices.own_devices import load_devices

    os.environ["XDG_CONFIG_HOME"] = str(path.parents[1])
    return load_devices()


def _labelv2(folder: Path) -> Path:
    from facenas.data.synthetic import write_synthetic_set

    write_synthetic_set(folder / "set", 4, width_px=96, height_px=96)
    return folder / "set"


def _wider(folder: Path) -> Path:
    root = folder / "WIDER_train"
    lines = []
    for name in ("0--Parade/a.jpg", "1--Fair/b.jpg", "1--Fair/c.jpg"):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(np.full((48, 64, 3), 90, np.uint8), 90))
        lines += [name, "2", "1 2 20 24 0 0 0 0 0 0", "30 2 20 24 0 0 0 1 0 0"]
    (root / "wider_face_train_bbx_gt.txt").write_text("\n".join(lines) + "\n")
    return root


def _official(folder: Path) -> Path:
    from scipy.io import savemat

    def cells(values: list[Any]) -> Any:
        column = np.empty((len(values), 1), dtype=object)
        for row, value in enumerate(values):
            column[row, 0] = value
        return column

    names = cells([cells(["one", "two"]), cells(["three"])])
    boxes = [np.array([[1, 2, 10, 12], [20, 20, 8, 8]]), np.array([[0, 0, 5, 5]]), np.array([[3, 3, 5, 5]])]
    content = {"event_list": cells(["0--Parade", "1--Fair"]), "file_list": names}
    savemat(folder / "wider_face_val.mat", content | {"face_bbx_list": cells([cells(boxes[:2]), cells(boxes[2:])])})
    for setting in ("easy", "medium", "hard"):
        listed = cells([cells([np.array([[1], [2]]), np.array([[1]])]), cells([np.array([[1]])])])
        savemat(folder / f"wider_{setting}_val.mat", {"gt_list": listed})
    return folder


def _checkpoint(folder: Path) -> Path:
    from helpers.random_networks import TINY, confident_checkpoint

    save_checkpoint(folder / "c.safetensors", confident_checkpoint(TINY, SIZE))
    return folder / "c.safetensors"


def _read_checkpoint(path: Path) -> object:
    from facenas.exporters.onnx import onnx_of_checkpoint

    return onnx_of_checkpoint(load_weights(path), input_size=None, dynamic=False)


def _exported(folder: Path, form: str, name: str) -> Path:
    from facenas.steps.export import ExportSettings, export

    settings = ExportSettings(calibration_count=8)
    export(_checkpoint(folder), form, "int8" if form == "tflite" else "fp32", settings=settings, out=folder / name)
    return folder / name


def _detect(path: Path) -> object:
    return FaceDetector(path)(np.zeros((48, 64, 3), np.uint8))


def _photos(folder: Path) -> Path:
    from PIL import Image

    place = folder / "photos"
    place.mkdir(exist_ok=True)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png", "a.webp", "a.bmp"):
        picture.save(place / name, exif=exif) if name != "a.bmp" else picture.save(place / name)
    picture.quantize(16).save(place / "palette.png")
    picture.save(place / "progressive.jpg", progressive=True)
    return place


def _read_photos(folder: Path) -> object:
    """All of them; the first error is the one that counts, after the others were read."""
    from facenas.errors import InputError

    trouble = None
    for path in sorted(folder.iterdir()):
        for read in (read_image, photo_size):
            try:
                read(path)
            except InputError as error:
                trouble = error
    if trouble is not None:
        raise trouble
    return None


def _accuracy(folder: Path) -> Path:
    from facenas.spaces import DEFAULT_SPACE

    shipped = zoo_accuracy_table(DEFAULT_SPACE)
    assert shipped is not None
    value = json.loads(shipped.read_text())
    value["slices"] = value["slices"][:10]
    (folder / "accuracy.json").write_text(json.dumps(value))
    return folder / "accuracy.json"


def _read_accuracy(path: Path) -> object:
    from facenas.accuracy.accuracy_table import load_accuracy_table

    return load_accuracy_table(path)


def _space(folder: Path) -> Path:
    stages = [
        ["SuperConvK3BNRELU(3,8,2,1)"],
        ["SuperConvK3BNRELU(8,8,2,1)"],
        ["SuperResK3K3(8,16,2,8,1)"],
        ["SuperResK3K3(16,16,2,8,1)", "SuperResK3K3(16,16,2,8,2)"],
        ["SuperConvK3BNRELU(16,16,2,1)"],
    ]
    value = {"name": "own", "stages": stages, "necks_and_heads": {"0": "PAFPN(8)HeadDW(8,1)"}}
    (folder / "space.json").write_text(json.dumps(value))
    return folder / "space.json"


def _read_search(path: Path) -> object:
    from facenas.searching.result import SearchResult

    return gather_contenders(path, 1, ()), repr(read_file(SearchResult, path, "search result")._repr_html_())


KINDS: dict[str, Kind] = {
    "latency tables": Kind("json", _table, _read_table),
    "run folders": Kind("json", _run, write_report, lambda run: sorted([*run.glob("*.json"), *run.rglob("*.jsonl")])),
    "search results": Kind("json", _search, _read_search),
    "rankings": Kind("json", _ranking, _read_ranking, lambda out: sorted(out.rglob("*.json"))),
    "evolution states": Kind("json", _evolution, lambda path: _evolve(path, resume=True)),
    "journals": Kind("json", _profile_journal, _read_journal),
    "devices": Kind("text", _devices, _read_devices),
    "labelv2": Kind("text", _labelv2, lambda root: open_dataset(root), lambda root: [root / "labelv2.txt"]),
    "WIDER text": Kind("text", _wider, lambda root: open_dataset(root), lambda root: sorted(root.glob("*.txt"))),
    "official truth": Kind("bytes", _official, read_official, lambda root: sorted(root.glob("*.mat"))),
    "checkpoints": Kind("safetensors", _checkpoint, _read_checkpoint),
    "onnx models": Kind("onnx", lambda folder: _exported(folder, "onnx", "m.onnx"), _detect),
    "openvino models": Kind(
        "bytes",
        lambda folder: _exported(folder, "openvino", "m.xml"),
        _detect,
        lambda path: [path, path.with_suffix(".bin")],
    ),
    "tflite models": Kind("bytes", lambda folder: _exported(folder, "tflite", "m.tflite"), _detect),
    "photos": Kind("bytes", _photos, _read_photos, lambda folder: sorted(folder.iterdir())),
    "accuracy tables": Kind("json", _accuracy, _read_accuracy),
    "spaces": Kind("json", _space, read_space),
}
