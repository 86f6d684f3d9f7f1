"""`facenas detect` on videos, cameras, patterns: frames come out, and what is wrong is said in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg
from facenas.data.video import read_frames
from facenas.errors import InputError

Run = Callable[..., Outcome]
FRAMES = 30


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "street.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    noise = np.random.default_rng(0)
    for index in range(FRAMES):
        frame = noise.integers(0, 40, (64, 96, 3), dtype=np.uint8)
        frame[:, :, 2] = 8 * index  # red, in OpenCV's order
        writer.write(frame)
    writer.release()
    return path


def test_frames_are_rgb_and_in_order(video: Path) -> None:
    frames = list(read_frames(video))
    assert len(frames) == FRAMES
    assert frames[0].shape == (64, 96, 3)
    assert [frame[..., 0].mean() for frame in frames] == pytest.approx([8 * index for index in range(FRAMES)], abs=6)
    assert len(list(read_frames(video, most=3))) == 3


def test_detect_tells_frames_a_second_and_draws(facenas: Run, video: Path, tmp_path: Path) -> None:
    done = facenas("detect", video, "--frames", "4", "--out", tmp_path / "drawn", "--json")
    assert done.code == 0, done.err
    assert [entry["image"] for entry in json.loads(done.out)] == [f"{video}, frame {index}" for index in range(4)]
    assert "frames a second" in done.err
    assert len(list((tmp_path / "drawn").glob("street-00000?.jpg"))) == 4


def test_a_video_that_ends_early_gives_what_it_holds_and_says_so(facenas: Run, video: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    done = facenas("detect", video, "--json")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"facenas: video {video} ends early, after ")
    assert 5 < len(json.loads(done.out)) < FRAMES


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_named(facenas: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    done = facenas("detect", tmp_path / "clip.mp4")
    assert done.code == 2
    (line,) = (line for line in done.err.splitlines() if line.startswith("facenas: "))
    assert "clip.mp4" in line


def test_a_camera_that_is_not_there(facenas: Run) -> None:
    done = facenas("detect", "97")
    assert done.code == 2
    assert done.err.endswith("facenas: cannot open camera 97; check that it is plugged in and may be used\n")


def test_a_quoted_pattern(facenas: Run, tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1"):
        (tmp_path / f"{name}.jpg").write_bytes(encode_jpeg(np.zeros((64, 96, 3), np.uint8), 90))
    done = facenas("detect", tmp_path / "a*.jpg", "--json")
    assert [Path(entry["image"]).stem for entry in json.loads(done.out)] == ["a1", "a2"]
    missing = facenas("detect", tmp_path / "c*.jpg")
    assert (missing.code, missing.err.startswith("facenas: no file matches ")) == (2, True)


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video at"):
        next(read_frames(tmp_path / "none.mp4"))
