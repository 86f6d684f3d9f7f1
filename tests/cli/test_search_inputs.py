"""Searches that choose the input, too: the best of every size is shown, and nothing beats the chosen one at any."""

import json
from collections.abc import Callable
from math import log2
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Outcome
from helpers.made_up_accuracy import ELASTIC, random_model, write_accuracy_table

from facenas.architecture import Architecture
from facenas.errors import InputError
from facenas.searching.any_input import AnyInput, as_inputs, parse_input
from facenas.units import Size

Run = Callable[..., Outcome]
WORDS = ("search", "--space", "facenas-elastic", "--device", "none", "--flops", "100M")
MODEL = random_model(ELASTIC, 0)


def figures(member: Architecture, size: Size) -> dict[str, float | None]:
    """Small faces are lost as the input shrinks, large ones are found at any."""
    network = MODEL(member)
    small = round(network + 0.25 * log2(size.long_side_px / 512), 5)
    large = round(0.3 + 0.5 * network - 0.02 * log2(size.long_side_px / 512), 5)
    return {"mean": round((small + large) / 2, 5), "12-24 px": small, "48 px and more": large}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_accuracy_table(tmp_path_factory.mktemp("table") / "a.accuracy.json", ["512x384", "256x192"], figures)


def found(facenas: Run, table: Path, *words: object) -> dict[str, Any]:
    done = facenas(*WORDS, "--accuracy", table, *words, "--json")
    assert done.code == 0, done.err
    return dict(json.loads(done.out))


def test_the_best_of_all_inputs_is_that_of_each_alone(facenas: Run, table: Path) -> None:
    together = found(facenas, table, "--rank-by", "accuracy")  # any input is the default where a table compares them
    sizes = [choice["input"] for choice in together["inputs"]]
    assert sizes[0] == "512x384"
    assert sizes[-1] == "256x192"
    assert "384x288" in sizes
    for choice in together["inputs"]:
        if choice["input"] not in ("512x384", "384x288", "256x192"):
            continue
        alone = facenas(*WORDS, "--accuracy", table, "--rank-by", "accuracy", "--input", choice["input"], "--json")
        if choice["best"] is None:
            assert alone.code == 1
            assert "raise this budget" in alone.err
        else:
            assert choice["best"] == {**json.loads(alone.out)["top"][0]}
    best = max(choice["best"]["ap"] for choice in together["inputs"] if choice["best"])
    assert together["top"][0]["ap"] == best
    assert together["certificate"]["bound"] == pytest.approx(best, abs=1e-4)
    chosen = next(choice for choice in together["inputs"] if choice["input"] == together["input"])
    assert chosen["best"]["architecture"] == together["architecture"]


def test_the_page_draws_the_best_of_every_input(facenas: Run, table: Path, tmp_path: Path) -> None:
    result = found(facenas, table, "--rank-by", "accuracy", "--out", tmp_path)
    done = facenas("report", "run", tmp_path)
    assert done.code == 0, done.err
    page = (tmp_path / "report.html").read_text()
    chart = page[page.index("The best at each input") : page.index("(chosen)")]
    assert f"chosen: {result['input']}" in chart
    assert f"AP {result['top'][0]['ap']:.3f}" in chart
    with_best = [choice for choice in result["inputs"] if choice["best"]]
    assert chart.count("<circle") == 2 * (len(with_best) + 1)  # and the mark; for wide and for narrow pages


def test_by_ddsar_the_input_is_chosen_by_ap_and_said_to_be(facenas: Run, table: Path) -> None:
    done = facenas(*WORDS, "--accuracy", table, "--input", "448x320,256x192")
    assert done.code == 0, done.err
    assert "the best by DDSAR at each input" in done.out
    assert "does not compare" in done.out
    result = found(facenas, table, "--input", "448x320,256x192")
    aps = {choice["input"]: choice["best"]["ap"] for choice in result["inputs"]}
    assert result["input"] == max(aps, key=lambda size: aps[size])
    assert "(judged at 256x192 and 512x384)" in result["accuracy"]["input"] or result["input"] == "256x192"


def test_whose_faces_decides_the_input(facenas: Run, table: Path) -> None:
    crowd = found(facenas, table, "--rank-by", "accuracy", "--faces", "24px..46px@1280x960")
    webcam = found(facenas, table, "--rank-by", "accuracy", "--faces", "200px..600px@640x480")
    assert Size(*map(int, crowd["input"].split("x"))).pixels > Size(*map(int, webcam["input"].split("x"))).pixels
    assert crowd["accuracy"]["figure"] == "of the faces given"


def test_what_cannot_be_is_one_line_with_the_cure(facenas: Run, table: Path, tmp_path: Path) -> None:
    given, no_faces = ("--accuracy", table), tmp_path / "no_faces.txt"
    no_faces.write_text("# empty.jpg 640 480\n")
    for words, said in (
        ((*given, "--input", "500x384"), "must be multiples of 32, the nearest: 480x384 or 512x384"),
        (
            (*given, "--input", "any", "--aspect", "40:1"),
            "no input is within 4% of an aspect of 40: sides are multiples of 32 px",
        ),
        ((*given, "--aspect", "wide"), "is not WIDTH:HEIGHT, for example 16:9"),
        ((*given, "--aspect", "4:3", "--camera", "640x480"), "both give the shape; keep one"),
        ((*given, "--input", "512x384", "--camera", "320x240"), "is larger than the camera's picture of 320x240"),
        ((*given, "--camera", "160x120"), "a long side of 160 px, less than the least input that is searched, 256 px"),
        ((*given, "--faces", str(no_faces)), f"the photos of {no_faces} hold no face"),
        ((*given, "--input", "640x480,512x384", "--rank-by", "accuracy"), "a long side of 256 to 512 px, not 640x480"),
        ((*given, "--input", "640x480,512x384"), "a long side of 256 to 512 px, not 640x480"),
        ((*given, "--faces", "2px..5px@640x480"), "no face given is of a size that the accuracy table knows"),
        ((*given, "--faces", "20px..2px@640x480"), "give the least first, above 0 and no larger than the picture"),
        ((*given, "--faces", "20..200@640x480"), "is neither a place of labelled photos nor sizes such as 20px..200px"),
        (("--space", "facenas-edge", "--input", "any"), "needs an accuracy table"),
        (("--space", "facenas-edge", "--input", "640x480,320x256"), "the space has none; give one size"),
        ((*given, "--flops", "1M"), "raise this budget"),
    ):
        done = facenas(*WORDS, *words)
        assert done.code in (1, 2), words
        assert said in done.err, done.err
        assert done.err.count("\n") == 1, done.err


def test_inputs_of_a_long_shape_are_those_that_a_profile_covers() -> None:
    assert AnyInput(3.0).sizes(256, 640) == (Size(576, 192), Size(480, 160), Size(384, 128))
    assert AnyInput(1 / 3).sizes(256, 640) == (Size(192, 576), Size(160, 480), Size(128, 384))


def test_inputs_of_a_camera_have_its_shape_and_are_no_larger() -> None:
    asked = parse_input("any", camera="640x360")
    assert isinstance(asked, AnyInput)
    sizes = asked.sizes(256, 1000)
    assert sizes[0] == Size(640, 352)
    assert Size(512, 288) in sizes
    assert all(abs(size.width_px / size.height_px / (16 / 9) - 1) < 0.05 for size in sizes)
    upright = AnyInput(3 / 4).sizes(256, 640)
    assert Size(480, 640) in upright
    assert as_inputs("320x256,640x480,320x256") == (Size(640, 480), Size(320, 256))
    with pytest.raises(InputError, match="no input is named"):
        as_inputs([])
