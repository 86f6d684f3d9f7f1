"""How long does judging take, and does the evaluator find a published detector as accurate as was found elsewhere?

python benchmarks/evaluator.py     # SCRFD-500M on 100 photos of WIDER FACE val; exit code 1 where a figure is off
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from facenas.detector.published import Baseline
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth, load_evaluation_set
from facenas.evaluation.protocols import evaluate
from facenas.evaluation.wider import evaluate_detections

SHARED = Path(__file__).resolve().parents[2] / "shared"
SCRFD_500M = {"easy": 0.846, "medium": 0.825, "hard": 0.666}
"""Found by another implementation of the protocol, at long side 640, suppression from 0.45."""

TOLERATED = 0.005
PHOTOS, FACES, DETECTIONS = 200, 20, 500


def crowds() -> tuple[dict[str, np.ndarray], EvaluationSet]:
    """200 photos of 20 faces, with 500 detections each, as a detector gives them from a score of 0.02."""
    generator = np.random.default_rng(0)

    def boxes(number: int) -> np.ndarray:
        corner, side = generator.uniform(0, 900, (number, 2)), generator.uniform(8, 80, (number, 2))
        return np.concatenate([corner, corner + side], axis=1).astype(np.float32)

    truths, detections = [], {}
    for name in map(str, range(PHOTOS)):
        faces = boxes(FACES)
        truths.append(GroundTruth(name, 1024, 1024, faces, {"all": np.ones(FACES, bool)}))
        scores = generator.uniform(0.02, 1, (DETECTIONS, 1)).astype(np.float32)
        detections[name] = np.concatenate([np.concatenate([boxes(DETECTIONS - FACES), faces]), scores], axis=1)
    return detections, EvaluationSet("crowds", ("all",), (), tuple(truths))


def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:
    """What `facenas bench` times."""
    detections, photos = crowds()
    return {"judge 200 photos": lambda: evaluate_detections(detections, photos)}


def scrfd_500m() -> dict[str, float | None]:
    """Average precisions of the published file on the photos beside the checkout."""
    photos = load_evaluation_set(SHARED / "data" / "wider_dev100")
    return evaluate(Baseline(SHARED / "models" / "scrfd_500m.onnx"), photos).average_precisions


def main() -> None:
    """Compare with the known figures."""
    found = scrfd_500m()
    off = {name: abs((found[name] or 0) - known) for name, known in SCRFD_500M.items()}
    for name, known in SCRFD_500M.items():
        print(f"{name}: {found[name]:.4f}, known {known:.3f}, {off[name]:.4f} apart")
    sys.exit(max(off.values()) > TOLERATED)


if __name__ == "__main__":
    main()
