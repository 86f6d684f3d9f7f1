"""facenas finds, trains, exports and proves face detectors for a given device and latency budget.

    import facenas
    result = facenas.search("5ms", "cpu")                  # the best detector under the budget, with its certificate
    faces = facenas.FaceDetector("facenas-12ms")(photo)    # faces in a photo

The command line is `facenas --help`; docs/python.md shows each function.
"""

import importlib
from typing import TYPE_CHECKING

from facenas.telemetry import switch_off
from facenas.version import __version__

if TYPE_CHECKING:
    from facenas.data.packed import Packing
    from facenas.detector.face_detector import FaceDetector
    from facenas.steps.appraise import AppraiseSettings, appraise
    from facenas.steps.calibrate import calibrate
    from facenas.steps.compare import CompareSettings, compare
    from facenas.steps.devices import list_devices
    from facenas.steps.evaluate import evaluate
    from facenas.steps.export import ExportSettings, export
    from facenas.steps.label import LabelSettings, label
    from facenas.steps.pack import pack
    from facenas.steps.photos import photos
    from facenas.steps.predict import predict
    from facenas.steps.profile import ProfileSettings, profile
    from facenas.steps.rank import RankSettings, rank
    from facenas.steps.run import run
    from facenas.steps.run_settings import RunSettings
    from facenas.steps.score import score
    from facenas.steps.search import SearchSettings, search
    from facenas.steps.slice import slice
    from facenas.steps.train import TrainingSettings, train
    from facenas.steps.verify import VerifySettings, verify
    from facenas.training.recipe import Recipe

    Detector = FaceDetector

__all__ = [
    "AppraiseSettings",
    "CompareSettings",
    "Detector",
    "ExportSettings",
    "FaceDetector",
    "LabelSettings",
    "Packing",
    "ProfileSettings",
    "RankSettings",
    "Recipe",
    "RunSettings",
    "SearchSettings",
    "TrainingSettings",
    "VerifySettings",
    "__version__",
    "appraise",
    "calibrate",
    "compare",
    "evaluate",
    "export",
    "label",
    "list_devices",
    "pack",
    "photos",
    "predict",
    "profile",
    "rank",
    "run",
    "score",
    "search",
    "slice",
    "train",
    "verify",
]
switch_off()
# Imported when they are asked for, so that `facenas --help` stays quick.
_PLACES = {
    "AppraiseSettings": "facenas.steps.appraise",
    "CompareSettings": "facenas.steps.compare",
    "Detector": "facenas.detector.face_detector",
    "ExportSettings": "facenas.steps.export",
    "FaceDetector": "facenas.detector.face_detector",
    "LabelSettings": "facenas.steps.label",
    "Packing": "facenas.data.packed",
    "ProfileSettings": "facenas.steps.profile",
    "RankSettings": "facenas.steps.rank",
    "Recipe": "facenas.training.recipe",
    "RunSettings": "facenas.steps.run_settings",
    "SearchSettings": "facenas.steps.search",
    "TrainingSettings": "facenas.steps.train",
    "VerifySettings": "facenas.steps.verify",
    "list_devices": "facenas.steps.devices",
}
_PLACES |= {
    name: f"facenas.steps.{name}" for name in __all__ if name.islower() and name not in (*_PLACES, "__version__")
}
_OTHER_NAMES = {"Detector": "FaceDetector"}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'facenas' has no attribute '{name}'")
    return getattr(importlib.import_module(_PLACES[name]), _OTHER_NAMES.get(name, name))
