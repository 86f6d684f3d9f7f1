"""What detections are judged against: photos with their true faces, and the settings that say which faces count.

With WIDER FACE's official ground truth (four MATLAB files) the settings are its easy, medium and hard; any other
labelled photos have the one setting `all`, every face that is not marked ignore.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenas.arrays import BoolArray, FloatArray
from facenas.data.annotations import Dataset
from facenas.data.image import photo_size
from facenas.data.source import open_dataset
from facenas.errors import InputError

OFFICIAL_SETTINGS = ("easy", "medium", "hard")
_FACES_FILE = "wider_face_val.mat"
_BESIDE = ("", "annotations", "wider_face_split", "ground_truth")


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The true faces of one photo.

    name: unique in its set, what detections are keyed by; boxes: float32 [n, 4] x1 y1 x2 y2 in pixels of the photo;
    counted: per setting a bool [n], true where the face counts; the others neither reward nor punish a detection.
    """

    name: str
    width_px: int
    height_px: int
    boxes: FloatArray
    counted: Mapping[str, BoolArray]


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Photos and their ground truth, in the same order; `problems` are labels that had to be left out."""

    name: str
    settings: tuple[str, ...]
    photos: tuple[Path, ...]
    ground_truth: tuple[GroundTruth, ...]
    problems: tuple[str, ...] = ()

    @property
    def official(self) -> bool:
        """Whether the settings are WIDER FACE's own easy, medium and hard."""
        return self.settings == OFFICIAL_SETTINGS


def load_evaluation_set(folder: Path, ground_truth: Path | None = None) -> EvaluationSet:
    """The photos of `folder` with the best ground truth there is.

    Official: photos `<any>/<event>/<name>.jpg` of WIDER FACE val, whose .mat files lie in `ground_truth` or, without
    it, in `folder`, one of the two folders above it, or an `annotations`, `wider_face_split` or `ground_truth` folder
    of these. Only entries whose photo is there take part. Else: any layout that `open_dataset` reads, with the
    setting `all`.

    Raises InputError where neither is found, or a file cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; give a folder of labelled photos")
    place = _official_files(folder) if ground_truth is None else ground_truth
    if place is not None:
        official = _load_official(folder, place)
        if official.photos:
            return official
        if ground_truth is not None:
            raise InputError(f"{folder} holds no photo of the ground truth in {ground_truth}; give WIDER_val's folder")
    return evaluation_set_of(open_dataset(folder), folder)


def evaluation_set_of(dataset: Dataset, folder: Path) -> EvaluationSet:
    """A dataset as an evaluation set with the one setting `all`; photos are named by their path below `folder`."""
    truths = tuple(
        GroundTruth(
            name=photo.path.relative_to(folder).as_posix(),
            width_px=photo.width_px,
            height_px=photo.height_px,
            boxes=photo.labels.boxes,
            counted={"all": ~photo.labels.ignore},
        )
        for photo in dataset.photos
    )
    photos = tuple(photo.path for photo in dataset.photos)
    return EvaluationSet(dataset.name, ("all",), photos, truths, dataset.problems)


def _official_files(folder: Path) -> Path | None:
    above = folder.resolve()
    for base in (above, above.parent, above.parent.parent):
        for name in _BESIDE:
            if (base / name / _FACES_FILE).is_file():
                return base / name
    return None


def _load_official(folder: Path, place: Path) -> EvaluationSet:
    faces = _read_mat(place / _FACES_FILE, ("event_list", "file_list", "face_bbx_list"))
    lists = {name: _read_mat(place / f"wider_{name}_val.mat", ("gt_list",))["gt_list"] for name in OFFICIAL_SETTINGS}
    events = [str(event[0]) for event in faces["event_list"][:, 0]]
    present = _photos_by_event(folder, set(events))
    photos, truths = [], []
    for event_index, event in enumerate(events):
        for file_index, file in enumerate(faces["file_list"][event_index, 0][:, 0]):
            name = f"{event}/{file[0]}.jpg"
            if name not in present:
                continue
            corner_size = faces["face_bbx_list"][event_index, 0][file_index, 0].astype(np.float32)
            boxes = np.concatenate([corner_size[:, :2], corner_size[:, :2] + corner_size[:, 2:]], axis=1)
            counted = {}
            for setting, listed in lists.items():
                counted[setting] = np.zeros(len(boxes), dtype=bool)
                # MATLAB counts from one.
                counted[setting][listed[event_index, 0][file_index, 0].ravel().astype(int) - 1] = True
            width_px, height_px = photo_size(present[name])
            photos.append(present[name])
            truths.append(GroundTruth(name, width_px, height_px, boxes, counted))
    return EvaluationSet(folder.resolve().name, OFFICIAL_SETTINGS, tuple(photos), tuple(truths))


def _photos_by_event(folder: Path, events: set[str]) -> dict[str, Path]:
    """`event/file` -> path, for every file in a folder that is named as an event."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders.sort()
        event = Path(place).name
        if event in events:
            found.update({f"{event}/{file}": Path(place, file) for file in files})
    return found


def _read_mat(path: Path, variables: tuple[str, ...]) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content: dict[str, Any] = loadmat(path, variable_names=list(variables))
    except FileNotFoundError:
        raise InputError(
            f"no {path}; the four wider_*_val.mat files of the official ground truth lie together"
        ) from None
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise InputError(f"cannot read {path} as a MATLAB file ({error}); download it again") from error
    missing = [name for name in variables if name not in content]
    if missing:
        raise InputError(f"{path} has no {missing[0]}; give WIDER FACE's own ground truth file")
    return content
