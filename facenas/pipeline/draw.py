"""Drawing boxes, scores and landmarks on photos; `Faces.draw` calls it."""

import cv2

from facenas.arrays import FloatArray
from facenas.data.image import Photo

FOUND = (40, 200, 80)
MISSED = (230, 60, 60)
_WIDENED = 0.1  # of a side, at each end: hair and chin say who it is, too
_STONES = 6
_LEAST_DETAILED_PX = 24


def draw_faces(
    photo: Photo, boxes: FloatArray, scores: FloatArray, landmarks: FloatArray | None, missed: FloatArray | None = None
) -> Photo:
    """A copy of a photo (uint8 RGB) with a box for every face, of those large enough to see
    it the score and landmarks; `missed` boxes [n, 4] in red."""
    picture = photo.copy()
    long_side_px = max(photo.shape[:2])
    thickness, largest_text = max(1, round(long_side_px / 600)), max(0.6, long_side_px / 2000)
    for box in missed if missed is not None else ():
        _rectangle(picture, box, MISSED, thickness)
    for index, (box, score) in enumerate(zip(boxes, scores, strict=True)):
        height_px = float(box[3] - box[1])
        of_face = max(1, min(thickness, round(height_px / 24)))  # a line is not to hide a tiny face
        _rectangle(picture, box, FOUND, of_face)
        if height_px < _LEAST_DETAILED_PX:
            continue
        place = (round(float(box[0])), max(10, round(float(box[1])) - 3))
        size, width = min(largest_text, max(0.35, height_px / 150)), max(1, round(largest_text))
        cv2.putText(picture, f"{score:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, size, FOUND, width, cv2.LINE_AA)
        for x, y in landmarks[index] if landmarks is not None else ():
            cv2.circle(picture, (round(float(x)), round(float(y))), of_face, (250, 220, 60), -1, cv2.LINE_AA)
    return picture


def blur_faces(photo: Photo, boxes: FloatArray) -> Photo:
    """A copy of a photo (uint8 RGB) in which nobody is recognised: each box [n, 4], a little widened, holds 6 mosaic stones a
    side, smoothed."""
    picture = photo.copy()
    height, width = photo.shape[:2]
    for box in boxes:
        x1, y1, x2, y2 = (float(value) for value in box)
        across, down = _WIDENED * (x2 - x1), _WIDENED * (y2 - y1)
        left, top = max(0, round(x1 - across)), max(0, round(y1 - down))
        right, bottom = min(width, round(x2 + across)), min(height, round(y2 + down))
        if right <= left or bottom <= top:
            continue
        face = picture[top:bottom, left:right]
        stones = cv2.resize(face, (_STONES, _STONES), interpolation=cv2.INTER_AREA)
        picture[top:bottom, left:right] = cv2.resize(stones, face.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return picture


def _rectangle(picture: Photo, box: FloatArray, colour: tuple[int, int, int], thickness: int) -> None:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)
