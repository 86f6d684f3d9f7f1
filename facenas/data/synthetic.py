"""Synthetic faces: drawn photos with exact labels, so that every step runs without a download. Never taken for real.

A photo is a cluttered background (gradient, blotches, rectangles, lines, lettering, and skin-coloured ovals without
features, so that neither colour nor shape alone makes a face) with faces over it, of 8 to 200 pixels in height, spread
evenly in the logarithm. Each face is drawn upright on a patch of its own and then turned, scaled and blended into the
photo. Photo i of a set is drawn from its own generator seeded with (seed, i): equal seeds give equal
bytes, and the first photos of a larger set are those of the smaller one.
"""

import math
from pathlib import Path

import cv2
import numpy as np

from facenas.data.annotations import Dataset
from facenas.data.image import Photo, encode_jpeg
from facenas.data.labelv2 import read_labelv2
from facenas.data.synthetic_face import Face, draw_face, random_skin
from facenas.errors import InputError
from facenas.files import write_atomic
from facenas.progress import SILENT, Progress

MIN_FACE_PX, MAX_FACE_PX = 8.0, 200.0
_MAX_FACES = 12
_WITHOUT_FACES = 0.08  # share of photos that show none
_LETTERS = "ABCDEFGHKLMNOPRSTUVXYZaeioknrst0123456789!?&"


def write_synthetic_set(
    folder: Path,
    count: int,
    seed: int = 0,
    width_px: int = 640,
    height_px: int = 480,
    progress: Progress = SILENT,
) -> Dataset:
    """Draw `count` synthetic photos into `folder/images` with labels in `folder/labelv2.txt`, and read them back.

    The labels are written last, so a folder that was interrupted has none. Files of the same names are replaced.
    Raises InputError where count or size is too small, or the folder cannot be written.
    """
    if count < 1:
        raise InputError(f"{count} synthetic photos; ask for 1 or more")
    if min(width_px, height_px) < 64:
        raise InputError(f"synthetic photos of {width_px}x{height_px}; ask for 64x64 or more")
    lines = []
    for index in range(count):
        name = f"synthetic_{seed}_{index:05d}.jpg"
        picture, faces, quality = draw_photo(width_px, height_px, np.random.default_rng([seed, index]))
        write_atomic(folder / "images" / name, encode_jpeg(picture, quality))
        lines.append(f"# {name} {width_px} {height_px}")
        lines.extend(_label(face) for face in faces)
        progress(index + 1, count, f"drawing synthetic photos ({folder.name})")
    write_atomic(folder / "labelv2.txt", "\n".join(lines) + "\n")
    return read_labelv2(folder / "labelv2.txt", folder / "images", "synthetic")


def draw_photo(width_px: int, height_px: int, rng: np.random.Generator) -> tuple[Photo, list[Face], int]:
    """One synthetic photo as uint8 RGB [height, width, 3], its faces, and the JPEG quality to save it with."""
    picture = _background(width_px, height_px, rng)
    faces: list[Face] = []
    if rng.random() >= _WITHOUT_FACES:
        for _ in range(int(rng.integers(1, _MAX_FACES + 1))):
            face = _free_place(width_px, height_px, faces, rng)
            if face is not None:
                faces.append(face)
    for face in faces:
        draw_face(picture, face, rng)
    noise = rng.standard_normal((height_px // 2 + 1, width_px // 2 + 1, 3), dtype=np.float32)
    grain = cv2.resize(noise * np.float32(rng.uniform(1, 7)), (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    picture = np.clip(picture.astype(np.float32) + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.9)).astype(np.uint8, copy=False)
    return picture, faces, int(rng.integers(70, 96))


def _free_place(width_px: int, height_px: int, faces: list[Face], rng: np.random.Generator) -> Face | None:
    """A random face whose head keeps clear of the others, or None where several draws find no room."""
    largest = min(MAX_FACE_PX, 0.45 * height_px)
    for _ in range(8):
        height = math.exp(rng.uniform(math.log(MIN_FACE_PX), math.log(largest)))
        face = Face(
            centre_x=rng.uniform(0.4 * height, width_px - 0.4 * height),
            centre_y=rng.uniform(0.5 * height, height_px - 0.5 * height),
            height_px=height,
            width_px=height * rng.uniform(0.7, 0.85),
            roll_degrees=rng.normal(0, 12),
            yaw=float(np.clip(rng.normal(0, 0.35), -0.8, 0.8)),
        )
        if not any(_overlap(face, other) for other in faces):
            return face
    return None


def _overlap(face: Face, other: Face) -> bool:
    """Whether one's hair or shoulders could cover the other's face; shoulders reach a head's height down."""
    room = (face.height_px + other.height_px) / 2
    return abs(face.centre_x - other.centre_x) < 1.4 * room and abs(
        face.centre_y - other.centre_y
    ) < 1.1 * room + 0.5 * max(face.height_px, other.height_px)


def _label(face: Face) -> str:
    box = " ".join(f"{value:.2f}" for value in face.box())
    points = " ".join(f"{x:.2f} {y:.2f} 1" for x, y in face.landmarks())
    return f"{box} {points} 0"


def _background(width_px: int, height_px: int, rng: np.random.Generator) -> Photo:
    """Clutter: a gradient with blotches, then shapes, decoys and lettering over it."""
    ends = np.array([[_colour(rng), _colour(rng)], [_colour(rng), _colour(rng)]], dtype=np.float32)
    picture = cv2.resize(ends, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    for cells in (5, 20, 80):
        blotches = rng.normal(0, rng.uniform(2, 20), (cells, cells, 1)) + rng.normal(0, 4, (cells, cells, 3))
        picture = picture + cv2.resize(blotches.astype(np.float32), (width_px, height_px))
    canvas = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(8, 40))):
        _shape(canvas, rng)
    for _ in range(int(rng.integers(2, 9))):
        _decoy(canvas, rng)
    for _ in range(int(rng.integers(0, 6))):
        _lettering(canvas, rng)
    return canvas


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Mostly muted: a grey with some colour added, now and then a lot."""
    spread = rng.choice([12, 30, 90])
    red, green, blue = np.clip(rng.uniform(15, 240) + rng.normal(0, spread, 3), 0, 255).astype(int).tolist()
    return red, green, blue


def _point(canvas: Photo, rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(0, canvas.shape[1])), int(rng.integers(0, canvas.shape[0]))


def _shape(canvas: Photo, rng: np.random.Generator) -> None:
    """A rectangle, filled or hollow, a line, a disc, or a polygon."""
    x, y = _point(canvas, rng)
    size = int(math.exp(rng.uniform(math.log(6), math.log(canvas.shape[0] * 0.8))))
    match int(rng.integers(0, 5)):
        case 0:
            corner = (x + int(size * rng.uniform(0.3, 1.6)), y + int(size * rng.uniform(0.3, 1.6)))
            cv2.rectangle(canvas, (x, y), corner, _colour(rng), cv2.FILLED)
        case 1:
            thickness = int(rng.integers(1, 6))
            cv2.rectangle(canvas, (x, y), (x + size, y + size), _colour(rng), thickness, cv2.LINE_AA)
        case 2:
            cv2.line(canvas, (x, y), _point(canvas, rng), _colour(rng), int(rng.integers(1, 8)), cv2.LINE_AA)
        case 3:
            cv2.circle(canvas, (x, y), max(2, size // 3), _colour(rng), cv2.FILLED, cv2.LINE_AA)
        case _:
            corners = (np.array([x, y]) + rng.integers(-size, size + 1, (int(rng.integers(3, 6)), 2))).astype(np.int32)
            cv2.fillPoly(canvas, [corners], _colour(rng), cv2.LINE_AA)


def _decoy(canvas: Photo, rng: np.random.Generator) -> None:
    """An oval of skin or any colour, with shading or hair perhaps, but without the features of a face."""
    height = math.exp(rng.uniform(math.log(MIN_FACE_PX), math.log(0.4 * canvas.shape[0])))
    axes = (max(2, int(height * rng.uniform(0.3, 0.45))), max(3, int(height / 2)))
    x, y = _point(canvas, rng)
    colour = random_skin(rng) if rng.random() < 0.7 else _colour(rng)
    angle = rng.uniform(-40, 40)
    if rng.random() < 0.4:  # the back of a head: all hair, a neck
        cv2.ellipse(canvas, (x, y + axes[1]), (axes[0] // 2 + 1, axes[1] // 2 + 1), 0, 0, 360, colour, -1, cv2.LINE_AA)
        dark = (colour[0] // 3, colour[1] // 3, colour[2] // 3)
        cv2.ellipse(canvas, (x, y), axes, angle, 0, 360, dark, cv2.FILLED, cv2.LINE_AA)
        return
    cv2.ellipse(canvas, (x, y), axes, angle, 0, 360, colour, cv2.FILLED, cv2.LINE_AA)
    if rng.random() < 0.5:  # one stroke or spot, where a face has several in order
        cv2.ellipse(canvas, (x, y), (axes[0] // 3 + 1, axes[1] // 6 + 1), angle, 0, 360, _colour(rng), -1, cv2.LINE_AA)


def _lettering(canvas: Photo, rng: np.random.Generator) -> None:
    text = "".join(rng.choice(list(_LETTERS), int(rng.integers(3, 10))))
    scale = rng.uniform(0.4, 2.0)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    cv2.putText(canvas, text, _point(canvas, rng), font, scale, _colour(rng), max(1, round(scale * 2)), cv2.LINE_AA)
