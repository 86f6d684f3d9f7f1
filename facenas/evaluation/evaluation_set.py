"""What detections are judged against: photos with their true faces, and the settings that say which faces count.

With WIDER FACE's official ground truth (four MATLAB files) the settings are its easy, medium and hard; any other
labelled photos have the one setting `all`, every face that is not marked ignore.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from facenas.arrays import BoolArray, FloatArray
from facenas.data.annotations import Dataset
from facenas.data.folder import walk
from facenas.data.image import photo_size
from facenas.data.source import is_set, open_dataset
from facenas.errors import InputError
from facenas.evaluation.official_truth import FACES_FILE, SETTING_FILES, SETTINGS, read_official

OFFICIAL_SETTINGS = SETTINGS
_BESIDE = ("", "annotations", "wider_face_split", "ground_truth", "eval_tools/ground_truth")
_PROBLEMS_SHOWN = 5


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The true faces of one photo.

    name: unique in its set, what detections are keyed by; boxes: float32 [n, 4] x1 y1 x2 y2 in pixels of the photo;
    counted: per setting a bool [n], true where the face counts; the others neither reward nor punish a detection;
    landmarks: float32 [n, 5, 3], x, y in pixels and whether the point is known, where the labels have any.
    """

    name: str
    width_px: int
    height_px: int
    boxes: FloatArray
    counted: Mapping[str, BoolArray]
    landmarks: FloatArray | None = None


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

    def of(self, names: Collection[str]) -> "EvaluationSet":
        """The photos of these names only."""
        if len(names) == len(self.photos):
            return self
        pairs = zip(self.photos, self.ground_truth, strict=True)
        kept = [(path, truth) for path, truth in pairs if truth.name in names]
        return replace(self, photos=tuple(path for path, _ in kept), ground_truth=tuple(truth for _, truth in kept))


def load_evaluation_set(folder: Path, ground_truth: Path | None = None) -> EvaluationSet:
    """The photos of `folder` with the best ground truth there is.

    Official: photos `<any>/<event>/<name>.jpg` of WIDER FACE val, whose .mat files lie in `ground_truth` or, without
    it, in `folder`, one of the two folders above it, or an `annotations`, `wider_face_split` or `ground_truth` folder
    of these. Only entries whose photo is there take part. Else: any layout that `open_dataset` reads (of WIDER FACE its
    val), with the setting `all`; where there is official ground truth that cannot be used, `problems` says why.

    Raises InputError where neither is found, or a file cannot be read.
    """
    if not is_set(folder):
        raise InputError(f"no folder {folder}; give a folder of labelled photos")
    place, why_not = (ground_truth, "") if ground_truth is not None else _official_files(folder)
    if place is not None:
        official = _load_official(folder, place)
        if official.photos:
            return official
        if ground_truth is not None:
            raise InputError(f"{folder} holds no photo of the ground truth in {ground_truth}; give WIDER_val's folder")
        why_not = f"none of the photos of the ground truth in {place} lies below {folder}"
    try:
        weaker = evaluation_set_of(open_dataset(folder, part="val"), folder)
    except InputError as error:
        raise InputError(f"{error}; {why_not}" if why_not else str(error)) from error
    if not why_not or weaker.name.endswith("WIDER_train"):
        return weaker
    return replace(weaker, problems=(f"judged on all faces, not by easy, medium, hard: {why_not}", *weaker.problems))


def told_problems(problems: Sequence[str]) -> list[str]:
    """The first problems of labels as lines for the person, and how many more there are."""
    lines = [f"labels: {problem}" for problem in problems[:_PROBLEMS_SHOWN]]
    if len(problems) > _PROBLEMS_SHOWN:
        lines.append(f"labels: {len(problems) - _PROBLEMS_SHOWN} more labels or photos")
    return lines


def evaluation_set_of(dataset: Dataset, folder: Path) -> EvaluationSet:
    """A dataset as an evaluation set with the one setting `all`; photos are named by their path below `folder`."""
    truths = tuple(
        GroundTruth(
            name=(photo.path.relative_to(folder) if photo.path.is_relative_to(folder) else photo.path).as_posix(),
            width_px=photo.width_px,
            height_px=photo.height_px,
            boxes=photo.labels.boxes,
            counted={"all": ~photo.labels.ignore},
            landmarks=photo.labels.landmarks,
        )
        for photo in dataset.photos
    )
    photos = tuple(photo.path for photo in dataset.photos)
    return EvaluationSet(dataset.name, ("all",), photos, truths, dataset.problems)


def _official_files(folder: Path) -> tuple[Path | None, str]:
    """Where the four files lie together, or, where only some of them do, why they cannot be used."""
    why_not = ""
    for above in dict.fromkeys((folder.absolute(), folder.resolve())):
        for base in (above, above.parent, above.parent.parent):
            for place in (base / name for name in _BESIDE):
                missing = [name for name in (FACES_FILE, *SETTING_FILES.values()) if not (place / name).is_file()]
                if not missing:
                    return place, ""
                if FACES_FILE not in missing:
                    why_not = why_not or (
                        f"{place} has no {', '.join(missing)}; these come with WIDER FACE's eval_tools, put them beside"
                        f" its {FACES_FILE}"
                    )
    return None, why_not


def _load_official(folder: Path, place: Path) -> EvaluationSet:
    official = read_official(place)
    present = _photos_by_event(folder, {name.partition("/")[0] for name in official})
    photos, truths, problems = [], [], []
    for name, photo in official.items():
        if name not in present:
            continue
        try:
            width_px, height_px = photo_size(present[name])
        except InputError as error:
            problems.append(str(error))
            continue
        photos.append(present[name])
        truths.append(GroundTruth(name, width_px, height_px, photo.boxes, photo.counted))
    return EvaluationSet(folder.resolve().name, OFFICIAL_SETTINGS, tuple(photos), tuple(truths), tuple(problems))


def _photos_by_event(folder: Path, events: set[str]) -> dict[str, Path]:
    """`event/file` -> path, for every file in a folder that is named as an event."""
    found = {}
    for place, _, files in walk(folder):
        if place.name in events:
            found.update({f"{place.name}/{file}": place / file for file in files})
    return found
