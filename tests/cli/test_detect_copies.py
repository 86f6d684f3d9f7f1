"""What `detect` leaves: faces cut out, faces that nobody recognises, a video with boxes, a line of JSON a picture."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg, read_image
from facenas.data.synthetic import draw_photo
from facenas.data.video import read_frames
from facenas.pipeline.draw import blur_faces
from facenas.steps.copies import crop_of

Run = Callable[..., Outcome]
LOW = ("--min-score", "0.05")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_jpeg(draw_photo(320, 240, np.random.default_rng(3))[0], 95))
    return path


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Five frames at 12 a second."""
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 12.0, (160, 128))
    for seed in range(5):
        writer.write(draw_photo(160, 128, np.random.default_rng(seed))[0])
    writer.release()
    return path


def found(facenas: Run, *words: object) -> list[dict[str, object]]:
    outcome = facenas("detect", *words, *LOW, "--json")
    assert outcome.code == 0, outcome.err
    value = json.loads(outcome.out)
    assert isinstance(value, list)
    return value


def test_faces_are_cut_out(facenas: Run, photo: Path, tmp_path: Path) -> None:
    (result,) = found(facenas, photo, "--crops", tmp_path / "crops")
    faces = result["faces"]
    assert isinstance(faces, list)
    assert faces
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == [
        f"photo-face{index:03d}.jpg" for index in range(len(faces))
    ]
    x1, y1, x2, y2 = faces[0]["box"]
    height, width = read_image(tmp_path / "crops/photo-face000.jpg").shape[:2]
    assert width >= min(x2 - x1, 1)
    assert height <= 1.5 * (y2 - y1) + 2
    found(facenas, photo, "--crops", tmp_path / "crops")  # its own are written again


def test_a_crop_stays_within_the_photo() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    for box in ([50, 30, 90, 80], [-20, -20, 5, 5], [59, 39, 60, 40], [10, 10, 10, 10]):
        crop = crop_of(picture, np.array(box, np.float32))
        assert 0 < crop.shape[0] <= 40
        assert 0 < crop.shape[1] <= 60


def test_blurred_faces_hold_nothing_of_the_face(facenas: Run, photo: Path, tmp_path: Path) -> None:
    (result,) = found(facenas, photo, "--out", tmp_path / "blurred", "--blur")
    faces = result["faces"]
    assert isinstance(faces, list)
    before, after = read_image(photo).astype(int), read_image(tmp_path / "blurred/photo.jpg").astype(int)
    x1, y1, x2, y2 = (round(value) for value in max(faces, key=lambda face: face["box"][2] - face["box"][0])["box"])
    edges = [np.abs(np.diff(picture[y1:y2, x1:x2], axis=1)).mean() for picture in (before, after)]
    assert edges[1] < edges[0] / 2
    outside = np.ones(before.shape[:2], bool)
    for face in faces:
        left, top, right, bottom = face["box"]
        outside[max(0, int(top - 20)) : int(bottom + 20), max(0, int(left - 20)) : int(right + 20)] = False
    assert np.abs(before - after)[outside].mean() < 3 if outside.any() else True


def test_no_detail_survives_a_blur() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    blurred = blur_faces(stripes, np.array([[8, 8, 56, 56]], np.float32))
    assert blurred[16:48, 16:48].std() < 12
    assert (blurred[:, :3] == stripes[:, :3]).all()


def test_a_video_with_boxes(facenas: Run, video: Path, tmp_path: Path) -> None:
    assert len(found(facenas, video, "--out", tmp_path / "out", "--video")) == 5
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.mp4"]
    assert len(list(read_frames(tmp_path / "out/clip.mp4"))) == 5
    capture = cv2.VideoCapture(str(tmp_path / "out/clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.0)
    capture.release()
    again = facenas("detect", video, "--out", tmp_path / "out", "--video")
    assert again.code == 2
    assert "clip.mp4 would be overwritten" in again.err


def test_a_line_of_json_a_picture(facenas: Run, photo: Path, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    whole = found(facenas, photo, video, "--jsonl", path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["faces"] for line in lines] == [entry["faces"] for entry in whole]
    assert [(line["width"], line["height"], line.get("frame")) for line in lines] == [
        (320, 240, None),
        *((160, 128, index) for index in range(5)),
    ]
    found(facenas, photo, "--jsonl", path)
    assert len(path.read_text().splitlines()) == 1
    refused = facenas("detect", video, "--jsonl", photo)
    assert refused.code == 2
    assert "holds no such lines" in refused.err
    assert read_image(photo).shape == (240, 320, 3)


def test_how_copies_look_needs_a_place(facenas: Run, photo: Path) -> None:
    for option in ("--blur", "--video"):
        outcome = facenas("detect", photo, option)
        assert outcome.code == 2
        assert "--out FOLDER" in outcome.err
