"""A small whole run folder, made by hand, for the report's tests."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facenas.architecture import parse_architecture, published_detector
from facenas.graph import build_graph
from facenas.units import Size

ARCHITECTURE = str(published_detector("damofd-0.5g"))


def candidate(latency_ms: float, ddsar: float) -> dict[str, Any]:
    return {
        "architecture": ARCHITECTURE,
        "ddsar": ddsar,
        "latency_ms": {"cpu": latency_ms},
        "flops": 492_511_200,
        "params": 258_186,
        "layers": 6,
        "peak_memory_bytes": 12_345_678,
    }


def search() -> dict[str, Any]:
    frontier = [candidate(1.2 * 1.11**i, 9.0 + 5.2 * (1 - 0.88**i)) for i in range(24)]
    return candidate(4.7171, 13.2468) | {
        "certificate": {"optimal": True, "bound": 13.2468, "space_size": 7_654_321, "labels": 4_567},
        "space": "facenas-edge",
        "input": "640x480",
        "score": {"alpha": 0.25, "resolution_px": 224, "stage_weights": [0.2, 0.27, 0.25, 0.18, 0.1]},
        "budgets": {"latency cpu": 4.85},
        "provenance": {"cpu": "measured"},
        "ranges": [
            {"name": "latency cpu", "least": 1.05, "median": 9.31, "largest": 40.2, "limit": 4.85},
            {"name": "params", "least": 90_000.0, "median": 400_000.0, "largest": 1.9e6, "limit": None},
        ],
        "top": [candidate(4.7171, 13.2468), candidate(4.6111, 13.1987)],
        "frontier": frontier,
    }


def prediction() -> dict[str, Any]:
    operators = build_graph(parse_architecture(ARCHITECTURE), Size(640, 480)).operators
    weights = [operator.macs / 4e5 + (operator.in_values + operator.out_values) / 3e4 for operator in operators]
    scale = 4600.0 / sum(weights)
    return {
        "latency_ms": 4.7171,
        "low_ms": 4.5021,
        "high_ms": 4.9432,
        "provenance": "measured",
        "operators": [
            {
                "operator": str(operator),
                **dict.fromkeys(("latency_us", "low_us", "high_us"), weight * scale),
                "source": "interpolated" if index % 9 == 4 else "table",
            }
            for index, (operator, weight) in enumerate(zip(operators, weights, strict=True))
        ],
    }


def verification() -> dict[str, Any]:
    def gate(name: str, passed: bool | None, value: float | None, limit: float | None, note: str) -> dict[str, Any]:
        return {"name": name, "passed": passed, "value": value, "limit": limit, "note": note}

    return {
        "passed": True,
        "artefact": "runs/cpu-5ms/model.onnx",
        "reference": "runs/cpu-5ms/training/best.safetensors",
        "data": "val",
        "photos": 32,
        "tensor": {
            f"output_{stride}": {"max_abs": 3.1e-6 / stride, "mean_abs": 2.2e-8, "cosine": 0.9999998}
            for stride in (8, 16, 32)
        },
        "boxes": {"reference_faces": 187, "matched": 1.0, "max_score_difference": 1.7e-6},
        "ap": {
            "reference": {"easy": 0.4512, "medium": 0.3661, "hard": 0.1987},
            "artefact": {"easy": 0.4511, "medium": 0.3660, "hard": 0.1986},
            "drop": 0.0001,
        },
        "latency": {
            "target": "cpu",
            "predicted_ms": 4.7171,
            "measured_ms": 4.8317,
            "budget_ms": 5.0,
            "provenance": "measured",
            "within_percent": 2.43,
        },
        "gates": [
            gate("loads", True, None, None, "input 640x480, 3 outputs"),
            gate("tensors", True, 3.9e-7, 1e-4, "largest absolute difference"),
            gate("boxes", True, 1.0, 0.99, "share with a partner"),
            gate("average precision", True, 0.0001, 0.005, "largest drop"),
            gate("latency as predicted", True, 2.43, 10.0, "measured against predicted, percent"),
            gate("latency within budget", True, 4.8317, 5.25, "ms; budget and 5 % for measuring"),
        ],
    }


def run() -> dict[str, Any]:
    return {
        "device": "cpu",
        "budgets": {"latency cpu": 5.0},
        "data": "synthetic",
        "input": "640x480",
        "passed": True,
        "steps": [
            {
                "name": "table",
                "seconds": 31.2,
                "summary": "431 operators, measured, calibrated here to 2.1 % mean error",
            },
            {"name": "search", "seconds": 4.8, "summary": "DDSAR 13.247, predicted 4.72 ms"},
            {"name": "train", "seconds": 1260.0, "summary": "30 epochs of 400 photos"},
            {"name": "export", "seconds": 1.1, "summary": "model.onnx, 1.02 MB"},
            {"name": "verify", "seconds": 44.0, "summary": "all gates passed"},
        ],
    }


def training_lines() -> list[str]:
    lines = []
    for step in range(20, 3001, 20):
        decay = np.exp(-step / 900)
        ripple = 0.02 * np.sin(step / 37)
        values = {"score": round(0.25 + 0.5 * decay + ripple, 5), "box": round(0.4 + 0.7 * decay - ripple, 5)}
        lines.append(json.dumps({"step": step, "steps": 3000, **values, "landmark": 0.0, "crops_per_s": 44.6}))
        if step % 500 == 0:
            share = step / 3000
            figures = {"easy": 0.4512 * share**0.5, "medium": 0.3661 * share**0.6, "hard": 0.1987 * share**0.7}
            lines.append(json.dumps({"step": step} | {name: round(value, 5) for name, value in figures.items()}))
    return lines


def curves() -> dict[str, list[list[float]]]:
    result = {}
    for name, reach in (("easy", 0.62), ("medium", 0.5), ("hard", 0.28)):
        share = np.linspace(0, 1, 1000)
        recall, precision = reach * share**0.6, 1 - 0.75 * share**2.5
        result[name] = np.stack([precision, recall], axis=1).round(5).tolist()
    return result


def write_run(folder: Path) -> Path:
    """Write every piece of a run into `folder`."""
    (folder / "training").mkdir(parents=True)
    (folder / "photos").mkdir()
    pieces = {"run": run(), "search": search(), "prediction": prediction(), "verify": verification()}
    for name, value in (pieces | {"evaluation": curves()}).items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "training" / "training.jsonl").write_text("\n".join(training_lines()) + "\n")
    for name, colour in (("first", (40, 90, 160)), ("second", (120, 90, 40))):
        photo = np.full((480, 640, 3), colour, np.uint8)
        cv2.rectangle(photo, (200, 120), (320, 280), (40, 200, 80), 2)
        cv2.imwrite(str(folder / "photos" / f"{name}.jpg"), photo)
    return folder
