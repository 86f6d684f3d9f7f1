"""`facenas label`: what a stronger detector finds becomes a set that `facenas train` takes as it is."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import Outcome
from helpers.made_up_teacher import Seen, write_teacher
from helpers.told import Told
from PIL import Image

from facenas.data.image import encode_jpeg
from facenas.data.source import open_dataset
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.steps.label import LabelSettings, label

Run = Callable[..., Outcome]
FACE, DOUBTED, BACKGROUND = Seen(96, 96, 0.9), Seen(224, 96, 0.4), Seen(224, 224, 0.1)
TINY = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,16,1)" + "SuperResK3K3(16,16,2,16,1)" * 3


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return write_teacher(tmp_path / "scrfd_made_up.onnx", (FACE, DOUBTED, BACKGROUND))


def write_photos(folder: Path, *names: str, grey: int = 255) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode_jpeg(np.full((480, 640, 3), grey, np.uint8), 95))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two white photos, one in a folder of its own, and a black one."""
    write_photos(tmp_path / "photos", "a.jpg", "a party/b c.jpg")
    return write_photos(tmp_path / "photos", "black.jpg", grey=0)


def test_faces_and_doubts_become_labels_that_can_be_trained_on(
    facenas: Run, photos: Path, teacher: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    outcome = facenas("label", "--teacher", teacher, photos, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert {key: told[key] for key in ("photos", "faces", "with_landmarks", "ignored", "empty", "unread")} == {
        "photos": 3,
        "faces": 2,
        "with_landmarks": 2,
        "ignored": 2,
        "empty": 1,
        "unread": [],
    }
    beside = json.loads((out / "label.json").read_text())
    assert beside == told
    assert (beside["teacher"], beside["min_score"], beside["ignore_score"]) == (teacher.name, 0.5, 0.3)
    assert beside["sha256"] == hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert sorted(path.name for path in out.iterdir()) == ["images", "label.json", "labelv2.txt"]

    dataset = open_dataset(out, strict=True)
    by_name = {photo.path.name: photo.labels for photo in dataset.photos}
    assert set(by_name) == {"a.jpg", "b c.jpg", "black.jpg"}
    assert len(by_name["black.jpg"]) == 0
    for name in ("a.jpg", "b c.jpg"):
        labels = by_name[name]
        assert labels.boxes.tolist() == [[64, 64, 128, 128], [192, 64, 256, 128]]
        assert labels.ignore.tolist() == [False, True]
        assert labels.landmarks[0].tolist() == [[x, y, 1] for x, y in FACE.points]
        assert not labels.landmarks[1].any()
    assert facenas("photos", out, "--strict").code == 0
    training = ("train", "--arch", TINY, "--data", out, "--val", out, "--epochs", "1", "--crop", "64", "--landmarks")
    trained = facenas(*training, "--out", tmp_path / "trained")
    assert trained.code == 0, trained.err


def test_thresholds_say_which_boxes_are_faces(facenas: Run, photos: Path, teacher: Path, tmp_path: Path) -> None:
    counts = {}
    for scores in (("0.3", "0.3"), ("0.95", "0.05"), ("0.2", "0.05")):
        out = tmp_path / "-".join(scores)
        words = ("--min-score", scores[0], "--ignore-score", scores[1], "--out", out, "--json")
        outcome = facenas("label", "--teacher", teacher, photos, *words)
        if outcome.code == 0:
            told = json.loads(outcome.out)
            counts[scores] = (told["faces"], told["ignored"])
        else:
            assert "finds no face with a score from 0.95 in 3 photos; lower --min-score" in outcome.err
            assert not any(out.iterdir())
    assert counts == {("0.3", "0.3"): (4, 0), ("0.2", "0.05"): (4, 2)}


def test_a_turned_photo_is_labelled_as_it_is_shown(facenas: Run, teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "phone").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(
        np.full((160, 640, 3), 255, np.uint8)
    )  # shown as 160 x 640: its right border cuts the doubt off
    stored.save(tmp_path / "phone/a.jpg", exif=exif)
    outcome = facenas("label", "--teacher", teacher, tmp_path / "phone", "--out", tmp_path / "set")
    assert outcome.code == 0, outcome.err
    (photo,) = open_dataset(tmp_path / "set", strict=True).photos
    assert (photo.width_px, photo.height_px) == (160, 640)
    assert photo.labels.boxes.tolist() == [[64, 64, 128, 128]]


def test_landmarks_outside_of_the_photo_are_unknown(facenas: Run, photos: Path, tmp_path: Path) -> None:
    at_the_border = write_teacher(tmp_path / "scrfd_b.onnx", [Seen(0, 96, 0.9)])
    assert facenas("label", "--teacher", at_the_border, photos, "--out", tmp_path / "set").code == 0
    labels = open_dataset(tmp_path / "set", strict=True).photos[0].labels
    assert labels.boxes.tolist() == [[0, 64, 32, 128]]
    assert labels.landmarks[0, :, 2].tolist() == [0, 1, 1, 0, 1]


def test_without_landmarks_faces_are_labelled_all_the_same(facenas: Run, photos: Path, tmp_path: Path) -> None:
    plain = write_teacher(tmp_path / "scrfd_plain.onnx", [FACE], outputs=6)
    outcome = facenas("label", "--teacher", plain, photos, "--out", tmp_path / "set", "--json")
    told = json.loads(outcome.out)
    assert (told["faces"], told["with_landmarks"]) == (2, 0)


def test_several_folders_make_one_set_and_no_photo_stands_there_twice(
    facenas: Run, teacher: Path, tmp_path: Path
) -> None:
    one, other = write_photos(tmp_path / "x/trip", "a.jpg", "b.jpg"), write_photos(tmp_path / "y/trip", "a.jpg")
    (other / "again.jpg").symlink_to(one / "b.jpg")
    outcome = facenas("label", "--teacher", teacher, one, other, "--out", tmp_path / "set")
    assert outcome.code == 0, outcome.err
    assert "1 names lead to photos that have another name" in outcome.err
    places = [photo.path for photo in open_dataset(tmp_path / "set", strict=True).photos]
    assert [path.relative_to(tmp_path / "set/images").as_posix() for path in places] == [
        "trip/a.jpg",
        "trip/b.jpg",
        "trip-2/a.jpg",
    ]


def test_photos_that_lie_in_the_set_stay_there(facenas: Run, teacher: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "set/images", "a.jpg")
    outcome = facenas("label", "--teacher", teacher, tmp_path / "set", "--out", tmp_path / "set")
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "set/images").is_symlink()
    assert len(open_dataset(tmp_path / "set", strict=True).photos) == 1


def test_one_that_cannot_be_read_is_named_and_costs_the_others_nothing(
    facenas: Run, photos: Path, teacher: Path, tmp_path: Path
) -> None:
    (photos / "cut.jpg").write_bytes((photos / "a.jpg").read_bytes()[:700])
    (photos / "raw.heic").write_bytes(b"?")
    outcome = facenas("label", "--teacher", teacher, photos, "--out", tmp_path / "set", "--json")
    assert outcome.code == 2
    assert "cut.jpg is truncated or damaged" in outcome.err
    assert "raw.heic" in outcome.err
    assert [Path(line.split()[1]).name for line in json.loads(outcome.out)["unread"]] == ["cut.jpg"]
    assert len(open_dataset(tmp_path / "set", strict=True).photos) == 3


def test_a_name_that_a_header_cannot_hold_is_refused(facenas: Run, photos: Path, teacher: Path, tmp_path: Path) -> None:
    (photos / "a.jpg").rename(photos / "two\nlines.jpg")
    outcome = facenas("label", "--teacher", teacher, photos, "--out", tmp_path / "set")
    assert outcome.code == 2
    assert "cannot stand in labelv2.txt; give it a plainer name" in outcome.err
    assert len(open_dataset(tmp_path / "set", strict=True).photos) == 2


def test_what_was_stopped_goes_on_to_the_same_labels(photos: Path, teacher: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    label(photos, teacher, out=whole)

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label(photos, teacher, out=stopped, progress=Told(stop))
    assert [path.name for path in stopped.iterdir()] == ["label.jsonl"]
    with pytest.raises(InputError, match=r"an unfinished labelling lies in .*; add --resume"):
        label(photos, teacher, out=stopped)
    with pytest.raises(InputError, match=r"another labelling \(min_score: 0.5 there, 0.6 here\)"):
        label(photos, teacher, out=stopped, settings=LabelSettings(min_score=0.6, resume=True))
    looked_at: list[int] = []
    told = Told(lambda done, total, what: looked_at.append(done))
    result = label(photos, teacher, out=stopped, settings=LabelSettings(resume=True), progress=told)
    assert looked_at == [3]
    assert result.photos == 3
    assert (stopped / "labelv2.txt").read_bytes() == (whole / "labelv2.txt").read_bytes()


def test_a_detector_that_ships_teaches(facenas: Run, tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "drawn", 4, seed=0)
    words = ("--min-score", "0.2", "--ignore-score", "0.1", "--long-side", "320")
    outcome = facenas("label", "--teacher", "facenas-5ms", tmp_path / "drawn/images", *words, "--out", tmp_path / "set")
    assert outcome.code == 0, outcome.err
    assert open_dataset(tmp_path / "set", strict=True).faces > 0


def test_scores_are_means_over_the_views_that_are_asked_for(facenas: Run, photos: Path, tmp_path: Path) -> None:
    """The teacher finds the same pixels in every picture: mirrored, that is another place of the photo."""
    aside, amid = Seen(96, 96, 0.9), Seen(320, 224, 0.9)
    teacher = write_teacher(tmp_path / "scrfd_aside.onnx", [aside, amid])
    words = ("--mirrored", "--device", "cpu", "--ignore-score", "0.3", "--json")
    outcome = facenas("label", "--teacher", teacher, photos, "--out", tmp_path / "set", *words)
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert (told["mirrored"], told["long_sides_px"]) == (True, [])
    labels = open_dataset(tmp_path / "set", strict=True).photos[0].labels
    found = {tuple(box): ignore for box, ignore in zip(labels.boxes.tolist(), labels.ignore.tolist(), strict=True)}
    assert found == {(288, 192, 352, 256): False, (64, 64, 128, 128): True, (512, 64, 576, 128): True}


def test_a_teacher_looks_at_several_sizes(facenas: Run, tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "drawn", 4, seed=0)
    sides = ("--long-side", "320", "--long-side", "512", "--mirrored", "--resume")
    common = ("label", "--teacher", "facenas-5ms", tmp_path / "drawn/images", "--min-score", "0.2")
    outcome = facenas(*common, "--ignore-score", "0.1", *sides, "--out", tmp_path / "set", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["long_sides_px"] == [320, 512]
    assert json.loads((tmp_path / "set/label.json").read_text())["mirrored"] is True
    assert open_dataset(tmp_path / "set", strict=True).faces > 0


def test_what_cannot_be_labelled_is_refused_in_one_line(
    facenas: Run, photos: Path, teacher: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "notes.txt").write_text("no detector")
    (tmp_path / "other.onnx").write_bytes(teacher.read_bytes())
    (tmp_path / "yunet_false.onnx").write_bytes(teacher.read_bytes())
    (tmp_path / "scrfd_broken.onnx").write_bytes(b"no model")
    write_photos(tmp_path / "taken/images", "z.jpg")
    write_photos(tmp_path / "done/images", "z.jpg")
    (tmp_path / "done/labelv2.txt").write_text("# z.jpg 640 480\n")
    usual: dict[str, object] = {"teacher": teacher, "photos": photos, "out": tmp_path / "set"}
    cases: dict[str, dict[str, object]] = {
        "is no folder; label takes folders of photos": {"photos": photos / "a.jpg"},
        "no photo below": {"photos": tmp_path / "none"},
        "--ignore-score 0.7 lies above --min-score 0.5": {"words": ("--ignore-score", "0.7")},
        "a least score of 1.5 cannot be used": {"words": ("--min-score", "1.5")},
        "a long side of 1 px cannot be used": {"words": ("--long-side", "640", "--long-side", "1")},
        "no device 'cpu-openvno'": {"words": ("--device", "cpu-openvno")},
        "labelv2.txt is there already; remove it, or choose another --out": {"out": tmp_path / "done"},
        "images is there already, and holds other photos": {"out": tmp_path / "taken"},
        "holds no images/ to label": {"out": photos},
        "no file at face-5ms; did you mean": {"teacher": "face-5ms"},
        "is no model file": {"teacher": tmp_path / "notes.txt"},
        "facenas did not make it, and its name does not begin with scrfd, yunet": {"teacher": tmp_path / "other.onnx"},
        "does not give what yunet detectors give": {"teacher": tmp_path / "yunet_false.onnx"},
        "scrfd_broken.onnx": {"teacher": tmp_path / "scrfd_broken.onnx"},
    }
    for message, changed in cases.items():
        given = {**usual, **changed}
        words = given.get("words", ())
        assert isinstance(words, tuple)
        outcome = facenas("label", "--teacher", given["teacher"], given["photos"], "--out", given["out"], *words)
        assert outcome.code == 2, message
        assert message in outcome.err, outcome.err
        assert len(outcome.err.strip().splitlines()) == 1, outcome.err
        assert not outcome.out
    assert not (tmp_path / "set").exists()
