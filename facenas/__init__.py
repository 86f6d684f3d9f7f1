"""facenas finds, trains, exports and proves face detectors for a given device and latency budget.

    import facenas
    faces = facenas.FaceDetector("model.onnx")(photo)

The command line is `facenas --help`.
"""

from typing import TYPE_CHECKING

from facenas.version import __version__

if TYPE_CHECKING:
    from facenas.detector.face_detector import FaceDetector

    Detector = FaceDetector

__all__ = ["Detector", "FaceDetector", "__version__"]


def __getattr__(name: str) -> object:
    """Import the detector only when it is asked for, so that `facenas --help` stays quick."""
    if name in ("Detector", "FaceDetector"):
        from facenas.detector.face_detector import FaceDetector

        return FaceDetector
    raise AttributeError(f"module 'facenas' has no attribute '{name}'")
