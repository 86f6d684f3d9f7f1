"""How many photos a second does `facenas detect` get through, against the plain decoder of most SCRFD ports?

    python benchmarks/detect_pipeline.py PHOTOS [--model model.onnx] [--rounds 5] [--bar 1.5]

Same model, photos and run, from the file on disk to boxes in pixels of the photo. The two take turns, and the best round
of each counts. They must find the same faces. `PlainDetector` is written as such ports are: one photo after another,
cv2.imread, a canvas, blobFromImage, ONNX Runtime with its default settings (all cores), every anchor decoded, then
filtered, then suppressed in a loop over numpy arrays.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from facenas.arrays import FloatArray
from facenas.detector.face_detector import DEFAULT_MIN_SCORE, FaceDetector
from facenas.detector.many_photos import detect_files
from facenas.errors import InputError
from facenas.evaluation.parity import compare_faces
from facenas.pipeline.faces import Faces
from facenas.pipeline.postprocess import NMS_IOU
from facenas.zoo import zoo_model

BAR = 1.5


class PlainDetector:
    """The usual port of SCRFD's demo, for a network that gives one map a level: 2 scores and 2 x 4 distances."""

    def __init__(self, path: Path, width_px: int, height_px: int) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name
        self.output_names = [output.name for output in self.session.get_outputs()]
        self.width_px, self.height_px = width_px, height_px
        self.centers: dict[int, FloatArray] = {}

    def detect(self, path: Path, threshold: float) -> Faces:
        """Faces of a photo file, best first."""
        image = cv2.imread(str(path))
        assert image is not None
        scale = min(self.width_px / image.shape[1], self.height_px / image.shape[0])
        new_size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        canvas = np.zeros((self.height_px, self.width_px, 3), dtype=np.uint8)
        canvas[: new_size[1], : new_size[0], :] = cv2.resize(image, new_size)
        blob = cv2.dnn.blobFromImage(
            canvas, 1.0 / 128, (self.width_px, self.height_px), (127.5, 127.5, 127.5), swapRB=True
        )
        outputs = self.session.run(self.output_names, {self.input_name: blob})
        scores_list, boxes_list = [], []
        for name, output in zip(self.output_names, outputs, strict=True):
            stride = int(name.rsplit("_", 1)[1])
            scores = (1 / (1 + np.exp(-output[0, :2]))).transpose(1, 2, 0).reshape(-1)
            distances = output[0, 2:10].transpose(1, 2, 0).reshape(-1, 4) * stride
            boxes = self.distance_to_box(self.anchor_centers(stride, output.shape), distances)
            positive = np.where(scores >= threshold)[0]
            scores_list.append(scores[positive])
            boxes_list.append(boxes[positive])
        scores, boxes = np.concatenate(scores_list), np.vstack(boxes_list) / scale
        order = scores.argsort()[::-1]
        detections = np.hstack([boxes, scores[:, None]]).astype(np.float32)[order]
        kept = detections[self.suppress(detections)]
        return Faces(kept[:, :4], kept[:, 4], None)

    def anchor_centers(self, stride: int, shape: Any) -> FloatArray:
        """Centres of all anchors of a level, two a cell; kept for the next photo."""
        if stride not in self.centers:
            rows, columns = np.mgrid[: shape[2], : shape[3]]
            centers = np.stack([columns, rows], axis=-1).astype(np.float32)
            centers = (centers * stride).reshape(-1, 2)
            self.centers[stride] = np.stack([centers] * 2, axis=1).reshape(-1, 2)
        return self.centers[stride]

    @staticmethod
    def distance_to_box(points: FloatArray, distance: FloatArray) -> FloatArray:
        """Corners from centres and distances."""
        x1, y1 = points[:, 0] - distance[:, 0], points[:, 1] - distance[:, 1]
        x2, y2 = points[:, 0] + distance[:, 2], points[:, 1] + distance[:, 3]
        return np.stack([x1, y1, x2, y2], axis=-1)

    @staticmethod
    def suppress(detections: FloatArray) -> list[int]:
        """Greedy suppression; the indices that stay."""
        x1, y1, x2, y2 = (detections[:, index] for index in range(4))
        areas = (x2 - x1) * (y2 - y1)
        order, keep = np.arange(len(detections)), []
        while order.size > 0:
            i = order[0]
            keep.append(int(i))
            width = np.maximum(0.0, np.minimum(x2[i], x2[order[1:]]) - np.maximum(x1[i], x1[order[1:]]))
            height = np.maximum(0.0, np.minimum(y2[i], y2[order[1:]]) - np.maximum(y1[i], y1[order[1:]]))
            overlap = width * height / (areas[i] + areas[order[1:]] - width * height)
            order = order[np.where(overlap <= NMS_IOU)[0] + 1]
        return keep


def compare_pipelines(paths: list[Path], model: Path, rounds: int) -> dict[str, float | int]:
    """Photos a second of both, in turns, and the share of the plain decoder's faces that ours finds too."""
    detector = FaceDetector(model)
    size = detector.description.input_size
    plain = PlainDetector(model, size.width_px, size.height_px)
    ours_s = plain_s = float("inf")
    for _ in range(rounds + 1):  # the first round finds cold caches; the best of all counts
        start = time.perf_counter()
        ours = _faces_in(detector, paths, DEFAULT_MIN_SCORE)
        ours_s = min(ours_s, time.perf_counter() - start)
        start = time.perf_counter()
        theirs = [plain.detect(path, DEFAULT_MIN_SCORE) for path in paths]
        plain_s = min(plain_s, time.perf_counter() - start)
    loose = _faces_in(detector, paths, DEFAULT_MIN_SCORE * 0.9)
    return {
        "photos": len(paths),
        "faces": sum(len(faces) for faces in ours),
        "facenas_photos_per_s": round(len(paths) / ours_s, 1),
        "plain_photos_per_s": round(len(paths) / plain_s, 1),
        "ratio": round(plain_s / ours_s, 3),
        "same_faces": round(compare_faces(theirs, loose).matched, 4),
    }


def _faces_in(detector: FaceDetector, paths: list[Path], min_score: float) -> list[Faces]:
    found = [faces for _, faces in detect_files(detector, paths, min_score)]
    for faces in found:
        if isinstance(faces, InputError):
            raise faces
    return [faces for faces in found if isinstance(faces, Faces)]


def main() -> int:
    """Exit code 1 where the ratio is below the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--model", type=Path, help="ONNX file of facenas (default: the shipped one)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bar", type=float, default=BAR)
    arguments = parser.parse_args()
    paths = sorted(arguments.photos.rglob("*.jpg"))
    if not paths:
        parser.error(f"no .jpg in {arguments.photos}")
    try:
        result = compare_pipelines(paths, arguments.model or zoo_model(), arguments.rounds)
    except InputError as error:
        parser.error(str(error))
    print(json.dumps(result, indent=1))
    return 0 if result["ratio"] >= arguments.bar else 1


if __name__ == "__main__":
    sys.exit(main())
