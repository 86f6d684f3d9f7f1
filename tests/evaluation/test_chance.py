"""The error of a drop of average precision: what photos that are drawn anew would have given, and what the gate makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.arrays import FloatArray
from facenas.evaluation.chance import drop_error
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth
from facenas.evaluation.gates import AP_DROPS, MIN_PHOTOS, Gate, Precision, precision_gate
from facenas.evaluation.wider import Evaluation, evaluate_detections

LIMIT = AP_DROPS["int8"]


def random_set(seed: int, photos: int) -> tuple[EvaluationSet, list[FloatArray]]:
    """Photos with some faces, of which a detector finds most, among false alarms."""
    random = np.random.default_rng(seed)
    truths, found = [], []
    for index in range(photos):
        count = int(random.integers(0, 6))
        corners = random.uniform(0, 400, (count, 2))
        boxes = np.hstack([corners, corners + random.uniform(20, 80, (count, 1))]).astype(np.float32)
        counted = random.random(count) < 0.8
        truths.append(GroundTruth(f"{index}.jpg", 500, 500, boxes, {"all": counted}))
        alarms = random.uniform(0, 400, (int(random.integers(1, 4)), 2))
        hits = boxes[random.random(count) < 0.8]
        rows = np.vstack([hits, np.hstack([alarms, alarms + 15])])
        scores = np.where(np.arange(len(rows)) < len(hits), 0.4, 0.02) + random.uniform(0, 0.5, len(rows))
        found.append(np.hstack([rows, scores[:, None]]).astype(np.float32))
    paths = tuple(Path(truth.name) for truth in truths)
    return EvaluationSet("random", ("all",), paths, tuple(truths)), found


def judged(photos: EvaluationSet, found: list[FloatArray]) -> Evaluation:
    names = [truth.name for truth in photos.ground_truth]
    return evaluate_detections(dict(zip(names, found, strict=True)), photos)


def quantised(found: list[FloatArray], seed: int) -> list[FloatArray]:
    """The same with scores a little off, as int8 leaves them."""
    random = np.random.default_rng(seed)
    return [
        rows + np.array([0, 0, 0, 0, 1], np.float32) * random.normal(0, 0.05, (len(rows), 1)).astype(np.float32)
        for rows in found
    ]


@given(st.integers(0, 2**32), st.lists(st.integers(1, 3), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_photos_taken_several_times_count_as_so_many_photos(seed: int, times: list[int]) -> None:
    photos, found = random_set(seed, len(times))
    chosen = [index for index, count in enumerate(times) for _ in range(count)]
    truths = tuple(replace(photos.ground_truth[at], name=f"{number}.jpg") for number, at in enumerate(chosen))
    repeated = replace(photos, photos=tuple(Path(truth.name) for truth in truths), ground_truth=truths)
    (ap,) = judged(photos, found).by_photo["all"].average_precisions(np.array([times], np.float32))
    assert ap == pytest.approx(judged(repeated, [found[at] for at in chosen]).all or 0.0, abs=1e-6)


def test_the_error_is_what_other_photos_of_the_kind_would_have_given() -> None:
    """Forty sets of sixty photos, each judged for itself: the spread of their drops is what each one tells as its error."""
    drops, errors = [], []
    for seed in range(40):
        photos, found = random_set(seed, 60)
        before, after = judged(photos, found), judged(photos, quantised(found, seed))
        drops.append((before.all or 0.0) - (after.all or 0.0))
        error = drop_error(before.by_photo, after.by_photo)
        assert error is not None
        errors.append(error)
    within = np.abs(np.array(drops) - np.mean(drops)) <= np.array(errors)
    assert 0.75 <= within.mean() <= 1.0
    assert np.mean(errors) == pytest.approx(1.645 * np.std(drops), rel=0.35)


def test_equal_detections_have_no_error_and_one_photo_tells_none() -> None:
    photos, found = random_set(1, 12)
    before = judged(photos, found)
    assert drop_error(before.by_photo, before.by_photo) == 0.0
    after = judged(photos, quantised(found, 1))
    assert drop_error(before.by_photo, after.by_photo) == drop_error(before.by_photo, after.by_photo)
    assert drop_error(before.by_photo, after.by_photo) != 0.0
    one, alone = random_set(3, 1)
    assert drop_error(judged(one, alone).by_photo, judged(one, alone).by_photo) is None


def gate(drop: float, error: float | None, photos: int, precision: str = "int8") -> Gate:
    ap = Precision({"all": 0.8}, {"all": 0.8 - drop}, drop, error, photos)
    return precision_gate(ap, LIMIT, precision)


@pytest.mark.parametrize(
    ("drop", "error", "photos", "passed"),
    [
        (0.0096, 0.0110, 60, None),  # may be chance
        (0.0096, 0.0020, 300, False),  # is none
        (0.0300, 0.0110, 60, False),
        (0.0010, 0.0110, 60, None),  # as likely .012
        (0.0040, 0.0030, 100, True),
        (0.0060, 0.0030, 100, None),
        (0.0000, 0.0000, MIN_PHOTOS, True),
        (0.0000, 0.0000, MIN_PHOTOS - 1, None),
        (0.2000, 0.0100, MIN_PHOTOS - 1, None),
        (0.0000, None, 1, None),
    ],
)
def test_few_photos_neither_pass_nor_fail(drop: float, error: float | None, photos: int, passed: bool | None) -> None:
    found = gate(drop, error, photos)
    assert found.passed is passed
    assert (found.value, found.limit) == (drop, LIMIT)
    assert ("not measured" in found.note) == ("too few to tell" in found.note) == (passed is None)
    assert f"of {photos} photos" in found.note


def test_the_words_are_those_to_act_on() -> None:
    note = gate(0.0096, 0.0056, 60).note
    assert note == "not measured: drop 0.0096 +- 0.0056 of 60 photos: too few to tell; give 100 photos or more"


@given(st.floats(0, 0.05), st.floats(0, 0.05), st.integers(2, 500))
def test_so_many_photos_as_are_asked_for_tell(drop: float, error: float, photos: int) -> None:
    """Unless the drop is all but the limit, where no number does."""
    before = gate(drop, error, photos)
    if before.passed is None:
        needed = int(before.note.split("give ")[1].split()[0])
        assert needed > photos
        after = gate(drop, error * (photos / needed) ** 0.5, needed)
        assert after.passed is (drop <= LIMIT) or LIMIT < drop < 1.25 * LIMIT


@pytest.mark.parametrize("passed", [True, False])
def test_float32_has_no_chance_in_it(passed: bool) -> None:
    assert gate(0.0 if passed else 0.0096, 0.0110, 3, "fp32").passed is passed
