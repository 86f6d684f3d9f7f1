"""The WIDER protocol against a plain reading of its definition, and against published detectors on real photos."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facenas.arrays import FloatArray
from facenas.data.image import encode_jpeg
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth, load_evaluation_set
from facenas.evaluation.official_truth import read_official
from facenas.evaluation.wider import evaluate_detections
from facenas.training.photos import training_photos

Detections = dict[str, FloatArray]
OFFICIAL = ("easy", "medium", "hard")


def floats(values: object) -> FloatArray:
    return np.array(values, dtype=np.float32)


def slow_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1) - common)


def slow_average_precision(detections: Detections, truths: list[GroundTruth], setting: str) -> float | None:
    """The protocol word by word: a loop over photos, detections and thresholds."""
    scores = [float(row[4]) for rows in detections.values() for row in rows]
    least, greatest = (min(scores), max(scores)) if scores else (0.0, 1.0)
    proposals, recalled, faces = [0] * 1000, [0] * 1000, 0
    for truth in truths:
        counted = truth.counted[setting]
        faces += int(counted.sum())
        rows = sorted(detections[truth.name].tolist(), key=lambda row: -row[4])
        if len(truth.boxes) == 0:
            if setting == "all":
                for t in range(1000):
                    proposals[t] += sum(
                        (row[4] - least) / ((greatest - least) or 1) >= 1 - (t + 1) / 1000 for row in rows
                    )
            continue
        state = [0] * len(truth.boxes)
        running: list[tuple[float, int, int]] = []
        kept = 0
        for row in rows:
            overlaps = [slow_iou(row, box) for box in truth.boxes.tolist()]
            best = max(range(len(overlaps)), key=lambda index: overlaps[index])
            taken_out = False
            if overlaps[best] >= 0.5:
                if not counted[best]:
                    state[best] = -1
                    taken_out = True
                elif state[best] == 0:
                    state[best] = 1
            kept += not taken_out
            running.append(((row[4] - least) / (greatest - least), kept, state.count(1)))
        for t in range(1000):
            above = [entry for entry in running if entry[0] >= 1 - (t + 1) / 1000]
            if above:
                proposals[t] += above[-1][1]
                recalled[t] += above[-1][2]
    if not faces:
        return None
    recall = [0.0] + [found / faces for found in recalled] + [1.0]
    precision = [0.0] + [found / max(all_, 1) for found, all_ in zip(recalled, proposals, strict=True)] + [0.0]
    for index in range(len(precision) - 2, -1, -1):
        precision[index] = max(precision[index], precision[index + 1])
    return sum((recall[i + 1] - recall[i]) * precision[i + 1] for i in range(len(recall) - 1))


def random_case(seed: int, photos: int, settings: tuple[str, ...] = OFFICIAL) -> tuple[Detections, EvaluationSet]:
    rng = np.random.default_rng(seed)
    detections: Detections = {}
    truths = []
    for index in range(photos):
        count = int(rng.integers(0 if settings == ("all",) else 1, 6))
        corner = rng.uniform(0, 80, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(4, 60, (count, 2))], axis=1).astype(np.float32)
        found = [box + rng.normal(0, 3, 4) for box in boxes for _ in range(int(rng.integers(0, 4)))]
        corner = rng.uniform(0, 80, (int(rng.integers(0, 4)), 2))
        found.extend(np.concatenate([corner, corner + rng.uniform(4, 60, corner.shape)], axis=1))
        rows = np.concatenate([np.array(found).reshape(-1, 4), rng.random((len(found), 1))], axis=1)
        detections[f"{index}.jpg"] = rows.astype(np.float32)
        counted = {setting: rng.random(count) < 0.7 for setting in settings}
        truths.append(GroundTruth(f"{index}.jpg", 640, 480, boxes, counted))
    paths = tuple(Path(truth.name) for truth in truths)
    return detections, EvaluationSet("random", settings, paths, tuple(truths))


def close(value: float | None, expected: float | None) -> bool:
    if value is None or expected is None:
        return value is expected
    return math.isclose(value, expected, abs_tol=1e-9)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 100_000), st.integers(1, 4))
def test_equals_the_plain_definition(seed: int, photos: int) -> None:
    detections, evaluation_set = random_case(seed, photos)
    scores = {float(row[4]) for rows in detections.values() for row in rows}
    if len(scores) == 1:
        return  # the definition divides by zero; see the test of equal scores
    result = evaluate_detections(detections, evaluation_set)
    for setting in OFFICIAL:
        expected = slow_average_precision(detections, list(evaluation_set.ground_truth), setting)
        assert close(getattr(result, setting), expected)
    assert result.all is None
    assert result.images == photos


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100_000))
def test_photos_without_faces_cost_precision_where_all_faces_count(seed: int) -> None:
    detections, evaluation_set = random_case(seed, 4, ("all",))
    scores = {float(row[4]) for rows in detections.values() for row in rows}
    if len(scores) < 2:
        return
    result = evaluate_detections(detections, evaluation_set)
    assert close(result.all, slow_average_precision(detections, list(evaluation_set.ground_truth), "all"))
    assert (result.easy, result.medium, result.hard) == (None, None, None)


def one_photo(boxes: list[list[float]], counted: list[bool]) -> EvaluationSet:
    truth = GroundTruth("a", 640, 640, floats(boxes).reshape(-1, 4), {"all": np.array(counted, bool)})
    return EvaluationSet("one", ("all",), (Path("a.jpg"),), (truth,))


def test_perfect_none_and_equal_scores() -> None:
    evaluation_set = one_photo([[0, 0, 40, 40], [100, 100, 150, 150]], [True, True])
    faces = floats([[0, 0, 40, 40, 0.7], [100, 100, 150, 150, 0.7]])
    perfect = evaluate_detections({"a": faces}, evaluation_set)
    assert perfect.all == 1.0
    assert perfect.by_size["24-48 px"] == 1.0
    assert perfect.by_size["0-6 px"] is None
    assert perfect.curves["all"].shape == (1000, 2)
    assert evaluate_detections({"a": np.zeros((0, 5), np.float32)}, evaluation_set).all == 0.0
    # A second detection of a face is a false alarm; of an ignored face it is nothing.
    assert evaluate_detections({"a": np.concatenate([faces, faces])}, evaluation_set).all == 0.5
    ignoring = one_photo([[0, 0, 40, 40], [100, 100, 150, 150]], [True, False])
    assert evaluate_detections({"a": np.concatenate([faces, faces[1:]])}, ignoring).all == 1.0


def test_refuses_missing_and_malformed_detections() -> None:
    evaluation_set = one_photo([[0, 0, 40, 40]], [True])
    with pytest.raises(InputError, match=r"1 of 1 photos \(first a\)"):
        evaluate_detections({}, evaluation_set)
    for rows in (np.zeros((2, 4), np.float32), np.full((1, 5), np.nan, np.float32)):
        with pytest.raises(InputError, match="x1 y1 x2 y2 score"):
            evaluate_detections({"a": rows}, evaluation_set)


def write_official(folder: Path) -> None:
    """Two photos of one event in the benchmark's MATLAB layout; the second photo's file is absent."""
    from scipy.io import savemat

    def cells(values: list[object]) -> NDArray[np.object_]:
        column = np.empty((len(values), 1), dtype=object)
        for row, value in enumerate(values):
            column[row, 0] = value
        return column

    folder.mkdir(parents=True)
    names = cells([cells(["one", "absent"])])
    boxes = cells([cells([np.array([[1, 2, 10, 12], [20, 20, 8, 8]], np.int32), np.array([[0, 0, 5, 5]], np.int32)])])
    content = {"event_list": cells(["0--Parade"]), "file_list": names, "face_bbx_list": boxes}
    savemat(folder / "wider_face_val.mat", content)
    for setting, faces in (("easy", []), ("medium", [1]), ("hard", [1, 2])):
        listed = cells([cells([np.array(faces, np.uint8).reshape(-1, 1), np.array([[1]], np.uint8)])])
        savemat(folder / f"wider_{setting}_val.mat", {"gt_list": listed})


def test_official_ground_truth_of_the_photos_that_are_there(tmp_path: Path) -> None:
    write_official(tmp_path / "annotations")
    photo = tmp_path / "WIDER_val" / "images" / "0--Parade" / "one.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(encode_jpeg(np.zeros((48, 64, 3), np.uint8), 90))
    for folder, truth in ((tmp_path, None), (tmp_path / "WIDER_val", None), (photo.parent, tmp_path / "annotations")):
        loaded = load_evaluation_set(folder, truth)
        assert loaded.official
        assert [path.resolve() for path in loaded.photos] == [photo.resolve()]
        (entry,) = loaded.ground_truth
        assert (entry.name, entry.width_px, entry.height_px) == ("0--Parade/one.jpg", 64, 48)
        assert entry.boxes.tolist() == [[1, 2, 11, 14], [20, 20, 28, 28]]
        assert [entry.counted[setting].tolist() for setting in OFFICIAL] == [[False] * 2, [True, False], [True] * 2]


def test_unusable_ground_truth_is_named(tmp_path: Path) -> None:
    write_official(tmp_path / "annotations")
    with pytest.raises(InputError, match="no labels in"):
        load_evaluation_set(tmp_path)
    with pytest.raises(InputError, match="no photo of the ground truth"):
        load_evaluation_set(tmp_path, tmp_path / "annotations")
    (tmp_path / "annotations" / "wider_easy_val.mat").unlink()
    with pytest.raises(InputError, match=r"wider_easy_val\.mat"):
        load_evaluation_set(tmp_path)
    write_official(tmp_path / "others")
    (tmp_path / "others" / "wider_face_val.mat").write_bytes(b"not MATLAB")
    (tmp_path / "annotations").rename(tmp_path / "aside")
    (tmp_path / "others").rename(tmp_path / "annotations")
    with pytest.raises(InputError, match=r"put them beside|four wider_\*_val\.mat files"):
        load_evaluation_set(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        load_evaluation_set(tmp_path / "absent")


WIDER_TEXT = "0--Parade/one.jpg\n1\n1 2 10 12 0 0 0 0 0 0\n"


def write_downloaded(root: Path, parts: tuple[str, ...]) -> Path:
    """WIDER FACE as its zips unpack: the photos of its parts, the label text of both, and one .mat file a part."""
    write_official(root / "wider_face_split")
    for setting in OFFICIAL:
        (root / "wider_face_split" / f"wider_{setting}_val.mat").unlink()
    for number, part in enumerate(parts):
        photo = root / f"WIDER_{part}" / "images" / "0--Parade" / "one.jpg"
        photo.parent.mkdir(parents=True)
        photo.write_bytes(encode_jpeg(np.full((48, 64, 3), number, np.uint8), 90))
        (root / "wider_face_split" / f"wider_face_{part}_bbx_gt.txt").write_text(WIDER_TEXT)
    return root


def test_wider_as_it_is_downloaded_is_judged_on_val_and_says_what_is_missing(tmp_path: Path) -> None:
    write_downloaded(tmp_path / "W", ("train", "val"))
    for folder in (tmp_path / "W", tmp_path / "W" / "WIDER_val"):
        loaded = load_evaluation_set(folder)
        assert loaded.settings == ("all",)
        assert "WIDER_val" in str(loaded.photos[0])
        assert "wider_easy_val.mat" in loaded.problems[0]
    trained = load_evaluation_set(tmp_path / "W" / "WIDER_train")
    assert trained.problems == ()
    assert "WIDER_train" in str(trained.photos[0])
    photos = training_photos(tmp_path / "W", tmp_path / "W")
    assert "WIDER_train" in str(photos.train.photos[0].path)
    assert "WIDER_val" in str(photos.validation.photos[0])


@pytest.mark.parametrize("given", ["WIDER_val", "WIDER_val/images", "."])
def test_linked_photos_are_judged_by_the_official_settings(tmp_path: Path, given: str) -> None:
    root = tmp_path / "W"
    write_official(root / "wider_face_split")
    photo = tmp_path / "disk" / "photos" / "0--Parade" / "one.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(encode_jpeg(np.zeros((48, 64, 3), np.uint8), 90))
    (root / "WIDER_val").mkdir()
    (root / "WIDER_val" / "images").symlink_to(photo.parent.parent)
    assert load_evaluation_set(root / given).official


def test_official_files_that_match_no_photo_are_named(tmp_path: Path) -> None:
    write_synthetic_set(tmp_path / "set", 2, width_px=64, height_px=64)
    write_official(tmp_path / "annotations")
    loaded = load_evaluation_set(tmp_path)
    assert loaded.settings == ("all",)
    assert "none of the photos of the ground truth" in loaded.problems[0]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_official_files_are_refused(tmp_path: Path, seed: int) -> None:
    write_official(tmp_path / "truth")
    path = tmp_path / "truth" / ("wider_face_val.mat", "wider_hard_val.mat")[seed % 2]
    content = bytearray(path.read_bytes())
    for place in np.random.default_rng(seed).integers(128, len(content), 60):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"four wider_\*_val\.mat files"):
        read_official(tmp_path / "truth")


def test_any_labelled_photos_give_the_setting_all(tmp_path: Path) -> None:
    dataset = write_synthetic_set(tmp_path / "set", 4, seed=2, width_px=160, height_px=120)
    loaded = load_evaluation_set(tmp_path)
    assert loaded.settings == ("all",)
    detections = {
        truth.name: np.concatenate([photo.labels.boxes, np.ones((len(photo.labels), 1), np.float32)], axis=1)
        for truth, photo in zip(loaded.ground_truth, dataset.photos, strict=True)
    }
    assert loaded.ground_truth[0].name == "set/images/synthetic_2_00000.jpg"
    assert evaluate_detections(detections, loaded).all == 1.0
