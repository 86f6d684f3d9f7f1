"""What `import facenas` promises: each name can be called, whatever was imported before, and an editor knows its types."""

import subprocess
import sys
from pathlib import Path
from typing import get_overloads, get_type_hints

import facenas
from facenas.detector.face_detector import FaceDetector
from facenas.pipeline.faces import Faces

ROOT = Path(facenas.__file__).parent
CALL_EACH = """
import importlib, sys
import facenas
from facenas.errors import MissingPackageError
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except (ImportError, MissingPackageError) as error:  # of an optional package; the attribute of facenas is set before
        print(module, error, file=sys.stderr)
for name in facenas.__all__:
    assert name == "__version__" or callable(getattr(facenas, name)), name
"""


def test_no_room_takes_the_place_of_a_public_name() -> None:
    """Importing facenas.x sets the attribute x of facenas, so a room named like a function would take its place."""
    modules = [
        ".".join(("facenas", *path.relative_to(ROOT).with_suffix("").parts))
        for path in sorted(ROOT.rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    ]
    assert "facenas.detector.face_detector" in modules
    command = [sys.executable, "-P", "-c", CALL_EACH, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_the_detector_has_two_names() -> None:
    assert facenas.FaceDetector is FaceDetector
    assert facenas.Detector is FaceDetector
    assert {"FaceDetector", "Detector"} <= set(facenas.__all__)


def test_a_photo_gives_faces_and_photos_a_list_of_them() -> None:
    answers = [get_type_hints(overload)["return"] for overload in get_overloads(FaceDetector.__call__)]
    assert answers == [Faces, list[Faces]]
