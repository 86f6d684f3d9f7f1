"""facenas finds, trains, exports and proves face detectors for a given device and latency budget.

    import facenas
    faces = facenas.Detector("model.onnx")(photo)

The command line is `facenas --help`.
"""

from typing import TYPE_CHECKING, Any

from facenas.version import __version__

if TYPE_CHECKING:
    from facenas.detector.face_detector import FaceDetector as Detector

__all__ = ["Detector", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the detector only when it is asked for, so that `facenas --help` stays quick."""
    if name == "Detector":
        from facenas.detector.face_detector import FaceDetector

        return FaceDetector
    raise AttributeError(f"module 'facenas' has no attribute '{name}'")
