"""Blind spots: a detector that is known by construction, and what it cannot see."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facenas.arrays import FloatArray
from facenas.cli.main import app
from facenas.data.image import Photo
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.evaluation.blind_spots import LIGHTS, ROLLS_DEGREES, SIZE_SHARES, BlindSpots, find_blind_spots
from facenas.evaluation.evaluation_set import EvaluationSet, GroundTruth
from facenas.pipeline.faces import Faces

WIDTH, HEIGHT, SIDE = 640, 480, 60.0


def finds_bright_discs(photo: Photo, min_score: float) -> Faces:
    """Every bright blob, with the score 0.9."""
    bright = (photo[..., 0] > 128).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    x, y, w, h = stats[1:, :4].T.astype(np.float32)
    boxes = np.stack([x, y, x + w, y + h], axis=1)
    scores = np.full(len(boxes), 0.9 if min_score <= 0.9 else 0, np.float32)
    return Faces(boxes, scores, None)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    """Grey photos with one white disc each, and a region that does not count."""
    folder = tmp_path_factory.mktemp("discs")
    paths, truths = [], []
    for number in range(4):
        photo = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
        x, y = 150 + 80 * number, 200 + 30 * number
        cv2.circle(photo, (x, y), int(SIDE / 2), (250, 250, 250), -1)
        paths.append(folder / f"{number}.png")
        cv2.imwrite(str(paths[-1]), photo)
        half = SIDE / 2
        boxes = np.array([[x - half, y - half, x + half, y + half], [0, 0, 90, 90]], np.float32)
        truths.append(GroundTruth(f"{number}", WIDTH, HEIGHT, boxes, {"all": np.array([True, False])}))
    return EvaluationSet("discs", ("all",), tuple(paths), tuple(truths))


@pytest.fixture(scope="module")
def spots(discs: EvaluationSet) -> BlindSpots:
    return find_blind_spots(finds_bright_discs, discs)


def test_a_disc_is_found_however_it_is_turned(spots: BlindSpots) -> None:
    rolls = spots.recalls["roll"]
    assert list(rolls) == [str(degrees) for degrees in ROLLS_DEGREES]
    assert all((each.found, each.faces) == (4, 4) for each in rolls.values())


def test_faces_larger_than_asked_for_take_no_part(spots: BlindSpots) -> None:
    """A disc is 9 % of its photo: no crop makes it 2 or 5 %."""
    sizes = spots.recalls["size"]
    assert list(sizes) == [f"{share:.0%}" for share in SIZE_SHARES]
    assert [sizes[name].faces for name in ("2%", "5%", "10%", "20%", "95%")] == [0, 0, 4, 4, 4]
    assert sizes["2%"].share is None
    assert sizes["40%"].share == 1


def test_what_is_too_dark_is_not_seen(spots: BlindSpots) -> None:
    lights = spots.recalls["light"]
    assert len(lights) == len(LIGHTS)
    assert lights["100%"].share == 1
    assert lights["12%"].share == 0


def test_equal_photos_are_made_each_time(discs: EvaluationSet, spots: BlindSpots) -> None:
    seen: list[int] = []

    def hashes(photo: Photo, min_score: float) -> Faces:
        seen.append(hash(photo.tobytes()))
        return finds_bright_discs(photo, min_score)

    assert find_blind_spots(hashes, discs) == spots
    once = list(seen)
    find_blind_spots(hashes, discs)
    assert seen == once * 2


def test_boxes_follow_a_turned_photo(discs: EvaluationSet) -> None:
    """An upright ellipse, turned by 90 degrees, lies on its side."""
    photo = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    cv2.ellipse(photo, (200, 240), (30, 80), 0, 0, 360, (250, 250, 250), -1)
    path = discs.photos[0].with_name("ellipse.png")
    cv2.imwrite(str(path), photo)
    boxes: FloatArray = np.array([[170, 160, 230, 320]], np.float32)
    truth = GroundTruth("ellipse", WIDTH, HEIGHT, boxes, {"all": np.array([True])})
    found = find_blind_spots(finds_bright_discs, EvaluationSet("one", ("all",), (path,), (truth,)))
    assert all(each.share == 1 for each in found.recalls["roll"].values())


def test_photos_that_cannot_be_read_are_an_error_only_where_all_are(discs: EvaluationSet, tmp_path: Path) -> None:
    nowhere = EvaluationSet("none", ("all",), (tmp_path / "no.jpg",), discs.ground_truth[:1])
    with pytest.raises(InputError, match="none of the 1 photos"):
        find_blind_spots(finds_bright_discs, nowhere)


def test_the_command_tells_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_synthetic_set(tmp_path, 2, width_px=128, height_px=96)
    words = ["evaluate", "--model", "facenas-5ms", "--data", str(tmp_path), "--blind-spots", "--json"]
    app(words, standalone_mode=False)
    told = json.loads(capsys.readouterr().out)["blind_spots"]
    assert {"min_score", "size", "roll", "light", "blur"} == set(told)
    assert told["roll"]["0"]["faces"] == told["blur"]["0 px"]["faces"]
