"""Label: a stronger detector's faces as the labels of photos that have none, to be trained on.

    score >= min_score: a face;   ignore_score <= score < min_score: a region to ignore;   below: background

A region to ignore is neither face nor background for a training, so what the teacher doubts teaches nothing wrong. The set is a
folder with `labelv2.txt` and `images`, a link to the photos, which stay where they are. Each photo is kept as soon as it is
labelled; `labelv2.txt` appears once, whole, at the end.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facenas.data.annotations import identity_of
from facenas.data.folder import photos_below, unread_below
from facenas.data.image import Photo
from facenas.data.labels import Labels
from facenas.data.labelv2 import labelv2_text, parse_lines
from facenas.detector.any_detector import in_views
from facenas.detector.face_detector import require_min_score
from facenas.detector.many_photos import Detect, detect_files
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.files import make_folder, sha256_of, write_atomic, write_json
from facenas.given import given_model
from facenas.graph import LANDMARK_COUNT
from facenas.line_journal import LineJournal
from facenas.locks import only_one
from facenas.pipeline.faces import Faces
from facenas.progress import SILENT, Progress
from facenas.shown import Rows, Shown, figures

_MIN_SIDE_PX = 2.0  # of a label
_PROBE = np.zeros((64, 64, 3), np.uint8)


@dataclass(frozen=True)
class LabelSettings:
    """`min_score`: the least score of a face, `ignore_score` of a region to ignore; `long_sides_px`: photos are scaled to each
    instead of the teacher's input, `mirrored`: looked at mirrored, too, and a score is the mean over these views
    (facenas/detector/views.py); `resume`: go on with what an earlier, stopped labelling has done."""

    min_score: float = 0.5
    ignore_score: float = 0.3
    long_sides_px: tuple[int, ...] = ()
    mirrored: bool = False
    resume: bool = False

    def __post_init__(self) -> None:
        require_min_score(self.min_score)
        require_min_score(self.ignore_score)
        if self.ignore_score > self.min_score:
            raise InputError(
                f"--ignore-score {self.ignore_score:g} lies above --min-score {self.min_score:g}; regions to ignore are "
                "between them: exchange the two"
            )


@dataclass(frozen=True, repr=False)
class LabelledPhotos(Shown):
    """The set in `folder`: how it was labelled, and what it holds. `with_landmarks` of the `faces`; `ignored`: regions;
    `empty`: photos without a face; `unread`: photos that are left out, a line each."""

    folder: str
    teacher: str
    sha256: str
    min_score: float
    ignore_score: float
    long_sides_px: tuple[int, ...]
    mirrored: bool
    photos: int
    faces: int
    with_landmarks: int
    ignored: int
    empty: int
    unread: tuple[str, ...]

    def line(self) -> str:
        """The counts, and where they are."""
        return f"{self.photos:,} photos, {self.faces:,} faces, {self.ignored:,} regions to ignore, in {self.folder}"

    def shown(self) -> tuple[Rows, ...]:
        """All of it."""
        rows = (
            ("photos", f"{self.photos:,}, {self.empty:,} of them without a face"),
            (
                f"faces (score from {self.min_score:g})",
                f"{self.faces:,}, {self.with_landmarks:,} of them with landmarks",
            ),
            (f"regions to ignore (from {self.ignore_score:g})", f"{self.ignored:,}"),
            ("teacher", f"{self.teacher}, SHA-256 {self.sha256[:12]}"),
            ("photos left out", f"{len(self.unread):,}"),
        )
        return (figures(f"labelled in {self.folder}", rows),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract, and of label.json beside the labels."""
        return {**asdict(self), "long_sides_px": list(self.long_sides_px), "unread": list(self.unread)}


def label(
    photos: Sequence[Path | str] | Path | str,
    teacher: Path | str,
    *,
    out: Path | str = "runs/label",
    device: str | None = None,
    settings: LabelSettings = LabelSettings(),
    progress: Progress = SILENT,
) -> LabelledPhotos:
    """Label all photos below some folders by `teacher` (a name of the zoo, a file of facenas, or a published detector's own
    ONNX file), which `device` runs (default: this CPU, or what its file names); `out` is then a set for `facenas train --data`.

    Raises InputError for a teacher that is no detector or finds no face, folders without photos, and an `out` that already
    holds labels or other photos.
    """
    out = Path(out)
    given = [photos] if isinstance(photos, Path | str) else list(photos)
    labels = out / "labelv2.txt"
    if labels.exists():
        raise InputError(f"{labels} is there already; remove it, or choose another --out")
    folders = _folders(given, out)
    links = _links(folders, out / "images")
    named = _named_photos(links, out / "images", progress)
    path, target = given_model(teacher), None if device is None else resolve_target(device)
    detector = in_views(teacher, settings.long_sides_px, mirrored=settings.mirrored, target=target)
    detector(_PROBE, settings.ignore_score)  # one that cannot be asked for such scores says so now
    settled = {"teacher": path.name, "sha256": sha256_of(path), **asdict(settings)}
    del settled["resume"]
    make_folder(out)
    with only_one(out / ".label.lock", f"labelling into {out}"):
        plan = {
            **settled,
            "long_sides_px": list(settings.long_sides_px),
            "photos": [str(folder.resolve()) for folder in folders],
        }
        journal = LineJournal(out / "label.jsonl", plan, "labelling", resume=settings.resume)
        if journal.words is not None:
            progress.note(journal.words)
        unread = _label_all(detector, named, settings, journal, progress)
        texts = dict(journal.entries)
        text = "".join(texts[name] for name in named if name in texts)
        result = LabelledPhotos(str(out), **settled, **_counts(text, labels), unread=tuple(unread))
        if not result.faces:
            journal.remove()
            why = f" ({len(unread)} more cannot be read, first: {unread[0]})" if unread else ""
            raise InputError(
                f"{path.name} finds no face with a score from {settings.min_score:g} in {result.photos} photos{why}; "
                "lower --min-score, or give photos with faces"
            )
        _make_links(links)
        write_json(out / "label.json", result.to_json())
        write_atomic(labels, text)
        journal.remove()
    return result


def _counts(text: str, labels: Path) -> dict[str, Any]:
    """What the labels hold, as who reads them finds it."""
    found = parse_lines(text.split("\n"), labels)
    faces = ~found.labels.ignore
    return {
        "photos": len(found.names),
        "faces": int(faces.sum()),
        "with_landmarks": int((found.labels.landmarks[faces, :, 2] > 0).any(axis=1).sum()),
        "ignored": int((~faces).sum()),
        "empty": len(found.names) - len(set(found.photo[faces].tolist())),
    }


def _folders(given: Sequence[Path | str], out: Path) -> list[Path]:
    """The folders whose photos are to be labelled; `out` itself stands for its `images`."""
    folders = []
    for each in map(Path, given):
        if not each.is_dir():
            raise InputError(f"{each} is no folder; label takes folders of photos")
        inside = out.exists() and each.samefile(out)
        if inside and not (out / "images").is_dir():
            raise InputError(f"{out} holds no images/ to label; put the photos there, or choose another --out")
        folders.append(out / "images" if inside else each)
    if not folders:
        raise InputError("there is nothing to label; give a folder of photos")
    return folders


def _links(folders: Sequence[Path], images: Path) -> dict[Path, Path]:
    """Each folder by the place in the set that will lead to it: `images`, or of several one there for each."""
    links: dict[Path, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        place, number = images / name, 1
        while place in links:
            number += 1
            place = images / f"{name}-{number}"
        links[images if len(folders) == 1 else place] = folder
    for place, folder in links.items():
        taken = place.exists() or place.is_symlink()
        if (taken and not (place.exists() and place.samefile(folder))) or (place != images and images.is_symlink()):
            raise InputError(f"{images} is there already, and holds other photos; choose another --out")
    return links


def _make_links(links: dict[Path, Path]) -> None:
    for place, folder in links.items():
        if place.exists():
            continue
        make_folder(place.parent)
        try:
            place.symlink_to(folder.resolve(), target_is_directory=True)
        except OSError as error:
            raise InputError(
                f"cannot link {place} to {folder}: {error.strerror}; copy the photos to {place} and label them there"
            ) from error


def _named_photos(links: dict[Path, Path], images: Path, progress: Progress) -> dict[str, Path]:
    """Each photo by its name in the labels, in their order; one that several names or links lead to counts once."""
    named: dict[str, Path] = {}
    seen: set[object] = set()
    again = 0
    for place, folder in links.items():
        unread = unread_below(folder)
        if unread is not None:
            progress.note(unread)
        for below in photos_below(folder):
            path = folder / below
            identity = identity_of(path)
            again += identity in seen
            if identity not in seen:
                seen.add(identity)
                named[(place / below).relative_to(images).as_posix()] = path
    if again:
        progress.note(f"{again} names lead to photos that have another name, too; each is labelled once")
    if not named:
        raise InputError(
            f"no photo below {', '.join(map(str, links.values()))}; give a folder of JPEG, PNG, WebP or BMP"
        )
    return named


def _label_all(
    detector: Detect, named: dict[str, Path], settings: LabelSettings, journal: LineJournal, progress: Progress
) -> list[str]:
    """Label what the journal does not hold yet, and put it there; gives why others cannot be."""
    if not all(isinstance(entry, list) and [type(part) for part in entry] == [str, str] for entry in journal.entries):
        raise InputError("the journal label.jsonl is damaged; delete it to begin anew")
    there = {name for name, _ in journal.entries}
    names = [name for name in named if name not in there]
    sizes: dict[int, tuple[int, int]] = {}

    def keep_size(index: int, photo: Photo, _faces: Faces) -> None:
        sizes[index] = (photo.shape[1], photo.shape[0])

    unread = []
    paths = [named[name] for name in names]
    for index, (_, faces) in enumerate(detect_files(detector, paths, settings.ignore_score, keep_size)):
        try:
            if isinstance(faces, InputError):
                raise faces
            size_px = sizes.pop(index)
            journal.append([names[index], labelv2_text(names[index], size_px, _labels(faces, size_px, settings))])
        except InputError as error:
            unread.append(str(error))
            progress.note(f"left out: {error}")
        progress(len(there) + index + 1, len(named), "labelling")
    return unread


def _labels(faces: Faces, size_px: tuple[int, int], settings: LabelSettings) -> Labels:
    """What a detector's answer says of a photo; a landmark outside of it is unknown, and so are those of a region."""
    faces = faces.take(np.flatnonzero((faces.boxes[:, 2:] - faces.boxes[:, :2] >= _MIN_SIDE_PX).all(axis=1)))
    ignore = faces.scores < settings.min_score
    landmarks = np.zeros((len(faces), LANDMARK_COUNT, 3), np.float32)
    if faces.landmarks is not None:
        points = faces.landmarks
        known = ((points >= 0) & (points <= np.array(size_px, np.float32))).all(axis=2) & ~ignore[:, None]
        landmarks = np.concatenate([points, np.ones_like(points[:, :, :1])], axis=2) * known[..., None]
    return Labels(faces.boxes, landmarks.astype(np.float32), ignore)
