"""An appraisal survives kill -9: resumed, it writes the bytes of an undisturbed one. Other work is not mixed in."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import tiny_appraisal
from helpers.random_supernet import write_supernet
from helpers.tiny_elastic import TINY_SPACE

from facenas.accuracy.accuracy_table import load_accuracy_table
from facenas.accuracy.appraisal import SliceJudge
from facenas.data.synthetic import write_synthetic_set
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import load_evaluation_set
from facenas.steps.appraise import AppraiseSettings, appraise
from facenas.units import Size

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_supernet(tmp_path_factory.mktemp("supernet") / "supernet.safetensors", TINY_SPACE)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("val")
    write_synthetic_set(folder, 16, width_px=96, height_px=64)
    return folder


def test_killed_and_resumed_it_writes_the_same_table(tmp_path: Path, supernet: Path, data: Path) -> None:
    undisturbed = tiny_appraisal.run(supernet, data, tmp_path / "undisturbed.json")
    out = tmp_path / "killed.json"
    command = [sys.executable, tiny_appraisal.__file__, *map(str, (supernet, data, out))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            if int(line) == 5:
                process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    with pytest.raises(InputError, match=r"an unfinished appraisal lies in .*add --resume"):
        tiny_appraisal.run(supernet, data, out)
    assert tiny_appraisal.run(supernet, data, out, resume=True) == undisturbed
    assert out.read_bytes() == (tmp_path / "undisturbed.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.json", "undisturbed.json"]
    table = load_accuracy_table(out)
    assert len({each.precision["96x64"]["all"] for each in table.slices}) > 1
    assert table.photos.photos == 16
    assert table.norms["photos"] == data.name


def test_a_photo_that_cannot_be_read_costs_its_neighbours_nothing(tmp_path: Path, supernet: Path, data: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(data, folder)
    photos = load_evaluation_set(folder)
    photo = min(folder.rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes()[:400])  # opening WIDER FACE itself does not look into each photo either
    judge = SliceJudge(photos, [Size(96, 64)])
    assert len(judge.photos.photos) == 15
    assert [str(photo) in problem for problem in judge.problems] == [True]
    for photo in folder.rglob("*.jpg"):
        photo.write_bytes(photo.read_bytes()[:400])
    with pytest.raises(InputError, match="none of the photos of damaged can be read, first: "):
        SliceJudge(photos, [Size(96, 64)])


def test_too_few_slices_are_kept_for_more(tmp_path: Path, supernet: Path, data: Path) -> None:
    out = tmp_path / "few.json"
    with pytest.raises(InputError, match=r"12 slices are too few for the 14 numbers of space 'tiny'.*--resume"):
        tiny_appraisal.run(supernet, data, out, slices=12)
    assert len((tmp_path / "few.json.journal").read_text().splitlines()) == 13
    assert len(tiny_appraisal.run(supernet, data, out, slices=14, resume=True).slices) == 14
    with pytest.raises(InputError, match="of 3 slices no error can be told; ask for 200"):
        tiny_appraisal.run(supernet, data, out, slices=3)


def test_the_journal_of_another_supernet_is_refused(tmp_path: Path, supernet: Path, data: Path) -> None:
    out = tmp_path / "x.json"
    with pytest.raises(InputError, match="too few"):
        tiny_appraisal.run(supernet, data, out, slices=10)
    other = write_supernet(tmp_path / "other.safetensors", TINY_SPACE, seed=1)
    with pytest.raises(InputError, match=r"is of another appraisal \(supernet: .*delete that file"):
        tiny_appraisal.run(other, data, out, resume=True)


def test_a_supernet_of_another_space_is_refused_before_anything_is_judged(supernet: Path, data: Path) -> None:
    changed = replace(TINY_SPACE, name="changed", head_convs=(2,))
    with pytest.raises(InputError, match="with other choices than 'changed' has now"):
        appraise(supernet, data, settings=AppraiseSettings(inputs=["96x64"]), space=changed)
