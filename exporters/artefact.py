"""Artefact: a file that an exporter made, and the description that travels inside it.

Every artefact says how to feed it and how to read it (input size, preprocessing, suppression) and which target runs it,
so that a user needs no flags, and a file without this description is refused instead of guessed at. ONNX and OpenVINO
files carry it as metadata; a format that has no room for it has it in a JSON file beside it, `<file>.json`, together with
the SHA-256 of the file that it describes.
"""

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from facenas.architecture import Architecture, parse_architecture
from facenas.arrays import FloatArray
from facenas.data.image import Photo
from facenas.errors import InputError
from facenas.files import parse_json, read_json, sha256_of, write_json
from facenas.pipeline.decoded import Decoding
from facenas.pipeline.fit import Letterbox
from facenas.pipeline.pipeline import Pipeline, Runner
from facenas.pipeline.postprocess import NMS_IOU
from facenas.pipeline.preprocess import Preprocessing
from facenas.shown import Rows, Shown, figures
from facenas.units import Size, parse_size

SCHEMA = 1
METADATA_KEY = "facenas"
DEFAULT_TARGET = "cpu"
_SUPPRESSED = 1.0  # no two boxes overlap by more, so that nothing is suppressed twice
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


@dataclass(frozen=True)
class Description:
    """What an artefact says of itself.

    dynamic: any sides that are multiples of 32 will do, `input_size` is the usual; target: the target's name that runs
    it; built_with: what it only works with (GPU, driver, runtime version), empty where the file is portable;
    calibration: the photos that the ranges of an int8 file come from, and how they were chosen; decoding: what the file's
    own decoder keeps, None where its outputs are the raw maps.
    """

    detector: Architecture
    input_size: Size
    dynamic: bool
    precision: str
    preprocessing: Preprocessing
    nms_iou: float
    origin: Mapping[str, Any]
    target: str = DEFAULT_TARGET
    built_with: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    decoding: Decoding | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise InputError(f"precision '{self.precision}' is none of {', '.join(PRECISIONS)}")
        if not 0 < self.nms_iou < 1:
            raise InputError(f"nms_iou {self.nms_iou} must lie between 0 and 1")

    def pipeline(self, runner: Runner) -> Pipeline:
        """A photo's way to faces as the file says, with `runner` for its network; photos are letterboxed into the input."""
        fit = Letterbox(self.input_size)
        if self.decoding is None:
            return Pipeline(runner, fit, self.preprocessing, self.nms_iou)
        return Pipeline(runner, fit, self.preprocessing, _SUPPRESSED, self.decoding)

    def network_input(self, photo: Photo) -> FloatArray:
        """What that pipeline feeds the network, float32 [1, 3, height, width]."""
        return self.preprocessing.normalise(Letterbox(self.input_size)(photo).picture)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": SCHEMA,
            "architecture": str(self.detector),
            "landmarks": self.detector.landmarks,
            "input": str(self.input_size),
            "dynamic": self.dynamic,
            "precision": self.precision,
            "preprocessing": self.preprocessing.to_json(),
            "nms_iou": self.nms_iou,
            "origin": dict(self.origin),
            "target": self.target,
            "built_with": dict(self.built_with),
            "calibration": dict(self.calibration),
            **({} if self.decoding is None else {"decoding": self.decoding.to_json()}),
        }

    def to_metadata(self) -> dict[str, str]:
        """The one metadata entry that carries it, as JSON."""
        return {METADATA_KEY: json.dumps(self.to_json())}

    def as_exported(
        self,
        precision: str,
        target: str,
        *,
        built_with: Mapping[str, str] | None = None,
        calibration: Mapping[str, Any] | None = None,
    ) -> "Description":
        """The description of what an exporter makes of this file."""
        return replace(
            self,
            precision=precision,
            target=target,
            built_with=dict(built_with or {}),
            calibration=dict(calibration or {}),
        )


def describe(detector: Architecture, input_size: Size, *, dynamic: bool, origin: Mapping[str, Any]) -> Description:
    """The description of an fp32 artefact with the usual preprocessing."""
    return Description(detector, input_size, dynamic, "fp32", Preprocessing(), NMS_IOU, origin)


def description_from_metadata(metadata: Mapping[str, str], path: Path) -> Description:
    """Read a description back. Raises InputError where the file was not made by facenas or by another schema."""
    if METADATA_KEY not in metadata:
        raise InputError(
            f"{path} carries no facenas description, so how to feed it is unknown; export it with `facenas export`"
        )
    try:
        value = parse_json(metadata[METADATA_KEY], "the description")
    except InputError as error:
        raise InputError(f"{path} carries a damaged facenas description ({error}); export it again") from error
    return description_from_json(value, path)


def description_from_json(value: Any, path: Path) -> Description:
    """The description that `Description.to_json` gave; `path` names the file in the error. Raises InputError."""
    try:
        schema = value["schema"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} carries a damaged facenas description ({error}); export it again") from error
    if schema != SCHEMA:
        raise InputError(f"{path} has description schema {schema}, this facenas reads {SCHEMA}; export again")
    try:
        if not isinstance(value["architecture"], str) or not isinstance(value["input"], str):
            raise ValueError("architecture and input are no text")
        bare = parse_architecture(value["architecture"])
        return Description(
            Architecture(bare.backbone, bare.neck_and_head, bool(value["landmarks"])),
            parse_size(value["input"]),
            bool(value["dynamic"]),
            str(value["precision"]),
            Preprocessing(**value["preprocessing"]),
            float(value["nms_iou"]),
            dict(value["origin"]),
            str(value.get("target", DEFAULT_TARGET)),
            {str(name): str(what) for name, what in value.get("built_with", {}).items()},
            dict(value.get("calibration", {})),
            Decoding(**value["decoding"]) if "decoding" in value else None,
        )
    except (InputError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} carries a damaged facenas description ({error}); export it again") from error


def sidecar_of(path: Path) -> Path:
    """Where the description of a file lies whose format has no room for it: `model.engine` -> `model.engine.json`."""
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: Path, description: Description, weights: Path | None = None) -> None:
    """Describe the file at `path`, already written as its `weights` are where they are another file, in a JSON file beside
    it."""
    hashes = {"sha256": sha256_of(path)} | ({} if weights is None else {"weights_sha256": sha256_of(weights)})
    write_json(sidecar_of(path), hashes | {METADATA_KEY: description.to_json()})


def read_sidecar(path: Path, weights: Path | None = None) -> Description:
    """The description beside `path`. Raises InputError where it or `weights` are absent, damaged, or of another file."""
    if not path.is_file():
        raise InputError(f"no model at {path}; check the path")
    beside = sidecar_of(path)
    if not beside.is_file():
        raise InputError(f"{path} has no description {beside.name} beside it; copy both, or export it again")
    value = read_json(beside, "description")
    if not isinstance(value, dict) or METADATA_KEY not in value:
        raise InputError(f"{beside} carries no facenas description; export {path.name} again")
    if value.get("sha256") != sha256_of(path):
        raise InputError(
            f"{beside} describes another file than {path.name}: it was cut off or replaced; export it again"
        )
    if weights is not None and not weights.is_file():
        raise InputError(f"{path} has no weights {weights.name} beside it; copy both, or export it again")
    if weights is not None and value.get("weights_sha256") != sha256_of(weights):
        raise InputError(f"{weights} does not hold the weights of {path.name}: cut off or replaced; export it again")
    return description_from_json(value[METADATA_KEY], path)


@dataclass(frozen=True, repr=False)
class Artefact(Shown):
    """What an export made: the file, the target that runs it and its runtime's version, and, where the runtime tells,
    how many operators it really computes in which precision (`{"Conv int8": 41, "Conv fp32": 2}`)."""

    path: Path
    format: str
    precision: str
    size_bytes: int
    sha256: str
    runtime: str
    runtime_version: str
    target: str
    operators: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        values = asdict(self)
        return {"artefact": str(values.pop("path")), **values}

    def line(self) -> str:
        """The file, its precision and size."""
        return f"{self.path}, {self.precision}, {self.size_bytes / 1e6:.2f} MB, for {self.target}"

    def shown(self) -> tuple[Rows, ...]:
        """All figures."""
        rows = [(name, str(value)) for name, value in self.to_json().items() if name != "operators"]
        rows += [(operators, str(count)) for operators, count in self.operators.items()]
        return (figures("exported", tuple(rows)),)


def artefact_of(
    path: Path,
    file_format: str,
    description: Description,
    runtime: str,
    operators: Mapping[str, int] | None = None,
    runtime_version: str | None = None,
    weights: Path | None = None,
) -> Artefact:
    """The record of a file that was just written; `runtime` is the Python package that made or runs it (its version is
    looked up by that name where it is not given); `weights`: the file beside it that holds them, which counts."""
    return Artefact(
        path,
        file_format,
        description.precision,
        path.stat().st_size + (0 if weights is None else weights.stat().st_size),
        sha256_of(path),
        runtime,
        runtime_version or importlib.metadata.version(runtime),
        description.target,
        dict(operators or {}),
    )
