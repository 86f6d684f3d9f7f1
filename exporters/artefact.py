"""Artefact: a file that an exporter made, and the description that travels inside it.

Every artefact says how to feed it and how to read it (input size, preprocessing, suppression), so that a user needs no
flags, and a file without this description is refused instead of guessed at.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facenas.architecture import Detector, parse_detector
from facenas.detector.postprocess import NMS_IOU
from facenas.detector.preprocess import Preprocessing
from facenas.errors import InputError
from facenas.files import sha256_of
from facenas.units import Size, parse_size

SCHEMA = 1
METADATA_KEY = "facenas"


@dataclass(frozen=True)
class Description:
    """What an artefact says of itself. `dynamic`: any sides that are multiples of 32 will do, `input_size` is the usual."""

    detector: Detector
    input_size: Size
    dynamic: bool
    precision: str
    preprocessing: Preprocessing
    nms_iou: float
    origin: Mapping[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """The one metadata entry that carries it, as JSON."""
        value = {
            "schema": SCHEMA,
            "architecture": str(self.detector),
            "landmarks": self.detector.landmarks,
            "input": str(self.input_size),
            "dynamic": self.dynamic,
            "precision": self.precision,
            "preprocessing": self.preprocessing.to_json(),
            "nms_iou": self.nms_iou,
            "origin": dict(self.origin),
        }
        return {METADATA_KEY: json.dumps(value)}


def describe(detector: Detector, input_size: Size, *, dynamic: bool, origin: Mapping[str, Any]) -> Description:
    """The description of an fp32 artefact with the usual preprocessing."""
    return Description(detector, input_size, dynamic, "fp32", Preprocessing(), NMS_IOU, origin)


def description_from_metadata(metadata: Mapping[str, str], path: Path) -> Description:
    """Read a description back. Raises InputError where the file was not made by facenas or by another schema."""
    if METADATA_KEY not in metadata:
        raise InputError(
            f"{path} carries no facenas description, so how to feed it is unknown; export it with `facenas export`"
        )
    try:
        value = json.loads(metadata[METADATA_KEY])
        if value["schema"] != SCHEMA:
            raise InputError(
                f"{path} has description schema {value['schema']}, this facenas reads {SCHEMA}; export again"
            )
        bare = parse_detector(value["architecture"])
        return Description(
            Detector(bare.backbone, bare.neck_and_head, bool(value["landmarks"])),
            parse_size(value["input"]),
            bool(value["dynamic"]),
            str(value["precision"]),
            Preprocessing(**value["preprocessing"]),
            float(value["nms_iou"]),
            dict(value["origin"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} carries a damaged facenas description ({error}); export it again") from error


@dataclass(frozen=True)
class Artefact:
    """What an export made."""

    path: Path
    format: str
    precision: str
    size_bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        values = asdict(self)
        values["artefact"] = str(values.pop("path"))
        return {"artefact": values.pop("artefact"), **values}


def artefact_of(path: Path, file_format: str, precision: str) -> Artefact:
    """The record of a file that was just written."""
    return Artefact(path, file_format, precision, path.stat().st_size, sha256_of(path))
