"""Faces in a photo with onnxruntime and numpy alone (Pillow reads the photo): what a deployment without facenas needs.

    python detect.py model.onnx photo.jpg [least score, default 0.3]

prints a line for each face, best first: x1 y1 x2 y2 score, then x y of five landmarks where the detector has them. The file
is one of `facenas export`, with its decoder inside (--decode) or without; docs/outputs.md says what its outputs mean.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

STRIDES = (8, 16, 32)
ANCHORS = 2


def letterbox(photo, width, height):
    """The photo, as large as fits, top-left in a black picture of that size; and by how much it was scaled."""
    scale = min(width / photo.shape[1], height / photo.shape[0])
    columns = max(1, min(width, round(photo.shape[1] * scale)))
    rows = max(1, min(height, round(photo.shape[0] * scale)))
    by_area = columns < 0.5 * photo.shape[1] or rows < 0.5 * photo.shape[0]
    scaled = weights(photo.shape[0], rows, by_area) @ photo.reshape(photo.shape[0], -1).astype(np.float32)
    scaled = scaled.reshape(rows, photo.shape[1], 3).transpose(0, 2, 1) @ weights(photo.shape[1], columns, by_area).T
    picture = np.zeros((height, width, 3), np.float32)
    picture[:rows, :columns] = np.floor(scaled.transpose(0, 2, 1) + 0.5)
    return picture, scale


def weights(before, after, by_area):
    """[after, before]: how much each old pixel counts in each new one, by the area that they share, or bilinear."""
    old, new = np.arange(before), np.arange(after)[:, None]
    ratio = before / after
    if by_area:
        shared = np.minimum(old + 1, (new + 1) * ratio) - np.maximum(old, new * ratio)
        return (np.maximum(shared, 0) / ratio).astype(np.float32)
    place = np.clip((new + 0.5) * ratio - 0.5, 0, before - 1)
    return np.maximum(0, 1 - np.abs(old - place)).astype(np.float32)


def decode(outputs, least_score):
    """Boxes [n, 4], scores [n] and landmarks [n, 5, 2] or None of the raw maps, best first."""
    boxes, scores, landmarks = [], [], []
    for stride in STRIDES:
        channels = outputs[f"output_{stride}"][0]
        score = 1 / (1 + np.exp(-np.clip(channels[:ANCHORS], -80, 80)))
        anchor, row, column = np.nonzero(score >= least_score)
        centre = np.stack([column, row], axis=1) * stride
        reach = (
            channels[ANCHORS : 5 * ANCHORS].reshape(ANCHORS, 4, *channels.shape[1:])[anchor, :, row, column] * stride
        )
        boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1))
        scores.append(score[anchor, row, column])
        if len(channels) > 5 * ANCHORS:
            offsets = channels[5 * ANCHORS :].reshape(ANCHORS, 5, 2, *channels.shape[1:])
            landmarks.append(offsets[anchor, :, :, row, column] * stride + centre[:, None])
    boxes, scores = np.concatenate(boxes), np.concatenate(scores)
    order = np.argsort(-scores, kind="stable")
    return boxes[order], scores[order], np.concatenate(landmarks)[order] if landmarks else None


def suppress(boxes, most_overlap):
    """Indices of the boxes that overlap no better one by more."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    left, kept = np.flatnonzero((boxes[:, :2] < boxes[:, 2:]).all(axis=1)), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        common = np.maximum(high - low, 0).prod(axis=1)
        left = left[common <= most_overlap * (area[best] + area[left] - common)]
    return np.array(kept, int)


def find_faces(session, photo, least_score):
    """Boxes, scores and landmarks or None of a uint8 RGB photo [height, width, 3], in its pixels."""
    about = json.loads(session.get_modelmeta().custom_metadata_map["facenas"])
    width, height = map(int, about["input"].split("x"))
    picture, scale = letterbox(photo, width, height)
    preprocessing = about["preprocessing"]
    image = (picture - np.float32(preprocessing["mean"])) / np.float32(preprocessing["standard_deviation"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {"image": image.transpose(2, 0, 1)[None].astype(np.float32)})
    outputs = dict(zip(names, values, strict=True))
    if "decoding" in about:
        boxes, scores, landmarks = outputs["boxes"], outputs["scores"], outputs.get("landmarks")
        kept = np.flatnonzero(scores >= least_score)
    else:
        boxes, scores, landmarks = decode(outputs, least_score)
        kept = suppress(boxes, about["nms_iou"])
    limits = [photo.shape[1], photo.shape[0]] * 2
    boxes = np.clip(boxes[kept] / scale, 0, limits)
    return boxes, scores[kept], None if landmarks is None else landmarks[kept] / scale


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    photo = np.asarray(ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGB"))
    boxes, scores, landmarks = find_faces(session, photo, float(sys.argv[3]) if len(sys.argv) == 4 else 0.3)
    for index, box in enumerate(boxes):
        points = [] if landmarks is None else landmarks[index].ravel()
        print(*(f"{value:.4f}" for value in box), f"{scores[index]:.6f}", *(f"{value:.4f}" for value in points))


if __name__ == "__main__":
    main()
