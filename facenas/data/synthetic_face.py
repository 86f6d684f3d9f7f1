"""One drawn face: its geometry, from which the labels follow exactly, and its pixels.

Face coordinates are (u, v) in [-1, 1] over the head's ellipse, u to the right and v down, before the head is turned by
`roll_degrees`; yaw moves the features sideways along the head and narrows the far side.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facenas.data.image import Photo

Colour = tuple[int, int, int]

_SKINS = ((255, 224, 196), (241, 194, 160), (224, 172, 125), (198, 134, 90), (141, 85, 55), (96, 60, 42), (70, 45, 35))
_HAIRS = ((25, 20, 18), (60, 40, 25), (110, 70, 40), (180, 140, 80), (120, 120, 120), (215, 210, 200), (120, 45, 25))
_PATCH = 3.0  # side of the patch in heights of the head: hair and shoulders fit in
_MIN_HEAD_PX = 48.0  # smaller heads are drawn at this height and shrunk, so that features blend as in a photo
_FRACTION_BITS = 4  # OpenCV draws at 1/16 of a pixel

_EYE_U, _EYE_V = 0.40, -0.10
_NOSE_V, _MOUTH_U, _MOUTH_V = 0.24, 0.32, 0.55


@dataclass(frozen=True)
class Face:
    """Where a face is and how it is turned: pixels of the photo, degrees clockwise, yaw -1 (to the left) to 1."""

    centre_x: float
    centre_y: float
    height_px: float
    width_px: float
    roll_degrees: float
    yaw: float

    def box(self) -> tuple[float, float, float, float]:
        """The tight box of the turned head, x1 y1 x2 y2: half sides sqrt((a cos)^2 + (b sin)^2) and the like."""
        angle = math.radians(self.roll_degrees)
        a, b = self.width_px / 2, self.height_px / 2
        half_width = math.hypot(a * math.cos(angle), b * math.sin(angle))
        half_height = math.hypot(a * math.sin(angle), b * math.cos(angle))
        return (
            self.centre_x - half_width,
            self.centre_y - half_height,
            self.centre_x + half_width,
            self.centre_y + half_height,
        )

    def landmarks(self) -> list[tuple[float, float]]:
        """Left eye, right eye, nose, left and right mouth corner in pixels of the photo."""
        angle = math.radians(self.roll_degrees)
        points = []
        for u, v in feature_points(self.yaw):
            x, y = u * self.width_px / 2, v * self.height_px / 2
            turned_x, turned_y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
            points.append((self.centre_x + turned_x, self.centre_y + turned_y))
        return points


def feature_points(yaw: float) -> list[tuple[float, float]]:
    """The five landmarks in face coordinates: on a sphere, u = sin(asin(u0) + turn), the nose stands out of it."""
    turn = yaw * 0.6
    points = [(-_EYE_U, _EYE_V), (_EYE_U, _EYE_V), (0.0, _NOSE_V), (-_MOUTH_U, _MOUTH_V), (_MOUTH_U, _MOUTH_V)]
    turned = [(math.sin(math.asin(u) + turn), v) for u, v in points]
    turned[2] = (1.2 * turned[2][0], _NOSE_V)
    return turned


def random_skin(rng: np.random.Generator) -> Colour:
    """A skin tone, RGB."""
    return _varied(_SKINS[int(rng.integers(len(_SKINS)))], 14, rng)


def draw_face(picture: Photo, face: Face, rng: np.random.Generator) -> None:
    """Blend the face, with hair and shoulders, into the photo (uint8 RGB, changed in place)."""
    pen = _Pen(face)
    _draw_person(pen, rng)
    layers = pen.lit(rng)  # colours premultiplied by their coverage, then the coverage
    scale = face.height_px / pen.head_px
    if scale < 0.7:
        layers = cv2.GaussianBlur(layers, (0, 0), 0.4 / scale).astype(np.uint8, copy=False)

    reach = math.ceil(face.height_px * _PATCH * 0.71)  # half a diagonal
    left, top = math.floor(face.centre_x) - reach, math.floor(face.centre_y) - reach
    x1, y1 = max(0, left), max(0, top)
    x2, y2 = min(picture.shape[1], left + 2 * reach), min(picture.shape[0], top + 2 * reach)
    # Patch centre to face centre. OpenCV counts from the middle of pixels, labels from their corner: half a pixel less.
    angle = math.radians(face.roll_degrees)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.full(2, layers.shape[0] / 2 - 0.5)
    shift = np.array([face.centre_x - x1 - 0.5, face.centre_y - y1 - 0.5]) - turn @ middle
    matrix = np.column_stack([turn, shift])
    warped = cv2.warpAffine(layers, matrix, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR).astype(np.float32)

    behind = picture[y1:y2, x1:x2] * (1 - warped[:, :, 3:] * np.float32(1 / 255))
    picture[y1:y2, x1:x2] = np.minimum(behind + warped[:, :, :3] + 0.5, 255).astype(np.uint8)


class _Pen:
    """Draws in face coordinates on a patch that keeps colour and coverage; anti-aliased edges are premultiplied."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.head_px = max(_MIN_HEAD_PX, face.height_px)
        self.half_height = self.head_px / 2
        self.half_width = self.half_height * face.width_px / face.height_px
        side_px = math.ceil(self.head_px * _PATCH)
        self.middle = side_px / 2 - 0.5
        self.colour: Photo = np.zeros((side_px, side_px, 3), dtype=np.uint8)
        self.cover: Photo = np.zeros((side_px, side_px), dtype=np.uint8)

    def ellipse(self, u: float, v: float, radius_u: float, radius_v: float, colour: Colour, angle: float = 0.0) -> None:
        """A filled ellipse; radii in half widths and half heights of the head."""
        one = 1 << _FRACTION_BITS
        centre = self._fixed(u, v)
        axes = (max(1, round(radius_u * self.half_width * one)), max(1, round(radius_v * self.half_height * one)))
        for canvas, value in ((self.colour, colour), (self.cover, 255)):
            cv2.ellipse(canvas, centre, axes, angle, 0, 360, value, cv2.FILLED, cv2.LINE_AA, _FRACTION_BITS)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """A filled polygon of (u, v) corners."""
        corners = np.array([self._fixed(u, v) for u, v in points], dtype=np.int32)
        for canvas, value in ((self.colour, colour), (self.cover, 255)):
            cv2.fillPoly(canvas, [corners], value, cv2.LINE_AA, _FRACTION_BITS)

    def stroke(self, points: list[tuple[float, float]], colour: Colour, width: float) -> None:
        """A line through (u, v) points; its width in half heights of the head."""
        corners = np.array([self._fixed(u, v) for u, v in points], dtype=np.int32)
        thickness = max(1, round(width * self.half_height))
        for canvas, value in ((self.colour, colour), (self.cover, 255)):
            cv2.polylines(canvas, [corners], False, value, thickness, cv2.LINE_AA, _FRACTION_BITS)

    def lit(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """The patch [side, side, 4] under a light from a random side, darker towards the rim of the head."""
        axis = np.arange(self.colour.shape[0], dtype=np.float32) - self.middle
        u, v = axis[None] / self.half_width, axis[:, None] / self.half_height
        angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.3)
        slope = strength * np.clip(u * math.cos(angle) + v * math.sin(angle), -1.3, 1.3)
        light = (1 + slope) * (1.05 - rng.uniform(0.05, 0.3) * np.minimum(u * u + v * v, 1.2)) * rng.uniform(0.65, 1.1)
        # Premultiplied colours cannot exceed their coverage.
        colour = np.minimum(self.colour * light[:, :, None], self.cover[:, :, None])
        return np.dstack([colour, self.cover]).astype(np.uint8)

    def _fixed(self, u: float, v: float) -> tuple[int, int]:
        one = 1 << _FRACTION_BITS
        return round((self.middle + u * self.half_width) * one), round((self.middle + v * self.half_height) * one)


def _draw_person(pen: _Pen, rng: np.random.Generator) -> None:
    """Shoulders, neck, hair and head, back to front, then the features."""
    skin = random_skin(rng)
    hair = _varied(_HAIRS[int(rng.integers(len(_HAIRS)))], 12, rng)
    red, green, blue = rng.integers(10, 245, 3).tolist()
    turn = pen.face.yaw * 0.15
    long_hair = rng.random() < 0.35
    bald = rng.random() < 0.12 and not long_hair
    if long_hair:
        pen.ellipse(-turn, 0.35, 1.3, rng.uniform(1.2, 1.5), hair)
    pen.polygon([(-0.48, 0.5), (0.48, 0.5), (0.55, 1.6), (-0.55, 1.6)], _shade(skin, 0.72))
    pen.ellipse(0.0, 2.35, rng.uniform(1.9, 2.4), 1.05, (red, green, blue))
    if not bald:
        pen.ellipse(-turn, -0.16, 1.12, rng.uniform(1.02, 1.2), hair)
    for side in (-1, 1):
        if side * pen.face.yaw < 0.25:  # the far ear hides behind the head
            pen.ellipse(side * 0.99, 0.04, 0.13, 0.2, _shade(skin, 0.85))
    pen.ellipse(0.0, 0.0, 1.0, 1.0, skin)
    if not bald:
        _draw_hairline(pen, hair, rng)
    _draw_features(pen, skin, hair, rng)


def _draw_hairline(pen: _Pen, hair: Colour, rng: np.random.Generator) -> None:
    """Hair over the brow: the head's upper rim down to a line that may lean to one side."""
    depth, lean = rng.uniform(0.55, 0.8), rng.uniform(-0.12, 0.12)
    reach = math.sqrt(1 - (depth - 0.2) ** 2)
    rim = [
        (1.03 * math.cos(t), -1.03 * math.sin(t)) for t in np.linspace(math.acos(reach), math.pi - math.acos(reach), 16)
    ]
    line = [(u, -depth + 0.2 * (u / reach) ** 2 + lean * u) for u in np.linspace(-reach, reach, 10)]
    pen.polygon(rim + line, hair)


def _draw_features(pen: _Pen, skin: Colour, hair: Colour, rng: np.random.Generator) -> None:
    points = feature_points(pen.face.yaw)
    (nose_u, nose_v), (left_u, mouth_v), (right_u, _) = points[2], points[3], points[4]
    mouth_u, mouth_half = (left_u + right_u) / 2, (right_u - left_u) / 2
    if rng.random() < 0.18:
        pen.ellipse(mouth_u * 0.7, 0.62, 0.62, 0.36, _mix(skin, hair, 0.75))  # a beard
    iris = ((60, 35, 20), (40, 60, 90), (60, 80, 50))[int(rng.integers(3))]
    closed, lid = rng.random() < 0.07, rng.uniform(0.08, 0.11)
    brow, brow_width = _mix(_shade(skin, 0.5), _shade(hair, 0.7), 0.7), rng.uniform(0.06, 0.1)
    for u, v in points[:2]:
        pen.stroke([(u - 0.24, v - 0.19), (u, v - 0.27), (u + 0.24, v - 0.19)], brow, brow_width)
        _draw_eye(pen, u, v, skin, iris, 0.0 if closed else lid)
    _draw_glasses(pen, points[:2], rng)

    shadow = _shade(skin, 0.68)
    pen.stroke([(nose_u * 0.55, -0.08), (nose_u * 0.85, nose_v - 0.1)], _shade(skin, 0.84), 0.05)
    pen.ellipse(nose_u, nose_v, 0.17, 0.09, _shade(skin, 1.1))
    for side in (-1, 1):
        pen.ellipse(nose_u + side * 0.11, nose_v + 0.05, 0.06, 0.035, shadow)

    lips = _mix(_shade(skin, 0.75), (175, 45, 55), rng.uniform(0.25, 0.75))
    smile = rng.uniform(-0.03, 0.1)
    opened = rng.uniform(0.08, 0.2) if rng.random() < 0.35 else 0.0
    arc = np.linspace(-1, 1, 9)
    upper = [(mouth_u + t * mouth_half, mouth_v + smile * (1 - t * t) - 0.06 * (1 - t * t)) for t in arc]
    lower = [(mouth_u + t * mouth_half, mouth_v + (smile + 0.09 + opened) * (1 - t * t)) for t in arc[::-1]]
    pen.polygon(upper + lower, lips)
    if opened:
        inside = [(mouth_u + t * 0.8 * mouth_half, mouth_v + (smile + opened * 0.8) * (1 - t * t)) for t in arc]
        teeth = [(mouth_u + t * 0.8 * mouth_half, mouth_v + smile * (1 - t * t)) for t in arc[::-1]]
        pen.polygon(inside + teeth, (235, 230, 220) if rng.random() < 0.7 else (70, 25, 25))
    else:
        middle = [(u, v + 0.06 * (1 - t * t)) for (u, v), t in zip(upper, arc, strict=True)]
        pen.stroke(middle, _shade(lips, 0.55), 0.03)


def _draw_eye(pen: _Pen, u: float, v: float, skin: Colour, iris: Colour, opened: float) -> None:
    """An eye whose white has the half height `opened`; zero is a closed one."""
    pen.ellipse(u, v, 0.27, 0.15, _shade(skin, 0.8))
    if not opened:
        pen.stroke([(u - 0.2, v), (u, v + 0.04), (u + 0.2, v)], _shade(skin, 0.35), 0.04)
        return
    pen.ellipse(u, v, 0.21, opened, (235, 232, 228))
    pen.ellipse(u + 0.08 * pen.face.yaw, v, 0.11, 0.085, iris)
    pen.ellipse(u + 0.08 * pen.face.yaw, v, 0.05, 0.04, (10, 8, 8))
    pen.stroke([(u - 0.22, v), (u, v - 0.1), (u + 0.22, v)], _shade(skin, 0.3), 0.035)


def _draw_glasses(pen: _Pen, eyes: list[tuple[float, float]], rng: np.random.Generator) -> None:
    kind = rng.random()
    if kind >= 0.18:
        return
    frame = _shade((70, 60, 55), rng.uniform(0.2, 1.2))
    around = np.linspace(0, 2 * math.pi, 20)
    for u, v in eyes:
        rim = [(u + 0.3 * math.cos(t), v + 0.2 * math.sin(t)) for t in around]
        if kind < 0.05:
            pen.polygon(rim, _shade(frame, 0.5))  # sunglasses
        pen.stroke(rim, frame, 0.04)
    pen.stroke([(eyes[0][0] + 0.28, eyes[0][1] - 0.03), (eyes[1][0] - 0.28, eyes[1][1] - 0.03)], frame, 0.04)


def _varied(colour: Colour, spread: float, rng: np.random.Generator) -> Colour:
    red, green, blue = np.clip(np.array(colour) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 0, 255).tolist()
    return int(red), int(green), int(blue)


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (int(a * (1 - share) + b * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
