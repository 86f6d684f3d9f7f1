"""Detecting in files: in order, the same faces as one by one, and as the plain decoder."""

import importlib.util
from pathlib import Path
from typing import Any

from facenas.data.image import read_image
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.detector.many_photos import detect_files
from facenas.errors import InputError
from facenas.pipeline.faces import Faces
from facenas.zoo import zoo_model

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "detect_pipeline.py"


def test_files_are_detected_in_order_as_one_by_one(tmp_path: Path) -> None:
    paths = [photo.path for photo in write_synthetic_set(tmp_path, 5, width_px=320, height_px=240).photos]
    detector = FaceDetector(zoo_model())
    used = []
    found = list(detect_files(detector, paths, 0.2, lambda index, photo, faces: used.append(paths[index])))
    assert [path for path, _ in found] == paths
    assert sorted(used) == sorted(paths)
    for path, faces in found:
        assert isinstance(faces, Faces)
        assert faces.rows.tolist() == detector(read_image(path), 0.2).rows.tolist()
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    among = list(detect_files(detector, [paths[0], tmp_path / "bad.jpg", *paths], 0.2))
    assert [isinstance(faces, InputError) for _, faces in among] == [False, True, *[False] * len(paths)]
    assert "bad.jpg" in str(among[1][1])


def test_the_plain_decoder_finds_the_same_faces(shared_dir: Path) -> None:
    specification = importlib.util.spec_from_file_location("detect_pipeline", BENCHMARK)
    assert specification is not None
    assert specification.loader is not None
    benchmark: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(benchmark)
    paths = sorted((shared_dir / "data" / "wider_dev100").rglob("*.jpg"))[:10]
    assert benchmark.compare_pipelines(paths, zoo_model("facenas-12ms"), 1)["same_faces"] > 0.98
