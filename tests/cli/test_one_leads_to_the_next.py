"""What one command writes the next one takes: a search's folder, a training's, an exported file, a name of the zoo."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import Outcome
from helpers.random_networks import TINY
from helpers.report_runs import write_run

from facenas.checkpoint import load_checkpoint
from facenas.data.synthetic import write_synthetic_set
from facenas.detector.face_detector import FaceDetector
from facenas.errors import InputError
from facenas.given import given_architecture, given_checkpoint, given_model
from facenas.zoo import zoo_checkpoint, zoo_model

Run = Callable[..., Outcome]
SHORT = ("--epochs", 1, "--crop", 64, "--batch", 2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_synthetic_set(folder, 6, seed=0)
    return folder


@pytest.fixture
def trained(facenas: Run, photos: Path, tmp_path: Path) -> Path:
    """The folder of a short training for input 96x64."""
    out = tmp_path / "trained"
    outcome = facenas("train", "--arch", TINY, "--data", photos, "--input", "96x64", *SHORT, "--out", out)
    assert outcome.code == 0, outcome.err
    return out


def test_a_search_is_scored_and_predicted_by_its_folder(facenas: Run, tmp_path: Path) -> None:
    folder, small = tmp_path / "search", tmp_path / "small"
    found = json.loads(facenas("search", "--space", "facenas-edge", "--latency", "9ms", "--out", folder, "--json").out)
    words = ("--device", "none", "--flops", "150M", "--input", "320x256", "--out", small, "--json")
    at_its_input = json.loads(facenas("search", *words).out)
    for given in (folder, folder / "search.json"):
        predicted = json.loads(facenas("predict", given, "--json").out)
        assert predicted["latency_ms"] == pytest.approx(found["latency_ms"]["cpu"], abs=1e-4)
        assert json.loads(facenas("score", given, "--json").out)["flops"] == found["flops"]
    assert json.loads(facenas("score", small, "--json").out)["flops"] == at_its_input["flops"]


def test_a_training_is_exported_scored_and_verified_by_its_folder(
    facenas: Run, trained: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    assert facenas("export", "--checkpoint", trained, "--out", folder / "model.onnx").code == 0
    flops = {facenas("score", given, "--json").out for given in (trained, trained / "best.safetensors", folder)}
    assert len(flops) == 1
    assert flops == {facenas("score", TINY, "--input", "96x64", "--json").out}
    assert facenas("verify", folder, "--reference", trained, "--data", photos, "--no-calibrate").code == 0
    assert FaceDetector(folder).description.detector == TINY


def test_fine_tuning_in_one_line(facenas: Run, trained: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    outcome = facenas("train", "--init", trained, "--data", photos, "--val", photos, *SHORT, "--out", out, "--json")
    assert outcome.code == 0, outcome.err
    start, tuned = load_checkpoint(trained / "best.safetensors"), load_checkpoint(out / "best.safetensors")
    assert (tuned.detector, tuned.input_size) == (start.detector, start.input_size)
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 0  # what it starts from is judged, too
    assert "all" in lines[0]
    rates = [load_checkpoint(path / "last.safetensors").origin["recipe"]["learning_rate"] for path in (trained, out)]
    assert rates[1] < rates[0] / 3


def test_fine_tuning_never_ends_worse_on_the_photos_it_validates_on(facenas: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    words = ("train", "--init", "facenas-5ms", "--data", photos, "--val", photos, *SHORT)
    outcome = facenas(*words, "--rate", "5", "--max-minutes", "0", "--out", out, "--json")  # a rate that ruins it
    assert outcome.code == 0, outcome.err
    assert str(given_architecture(out).input_size) == "512x384"
    start = load_checkpoint(zoo_checkpoint("facenas-5ms")).tensors
    kept = load_checkpoint(out / "best.safetensors").tensors
    assert all((kept[name] == tensor).all() for name, tensor in start.items())


def test_landmarks_are_kept(facenas: Run, trained: Path, photos: Path, tmp_path: Path) -> None:
    words = ("train", "--data", photos, *SHORT)
    outcome = facenas(*words, "--init", trained, "--landmarks", "--out", tmp_path / "a")
    assert outcome.code == 0, outcome.err
    assert "landmarks are new" in outcome.err
    assert facenas(*words, "--init", tmp_path / "a", "--out", tmp_path / "b").code == 0
    assert load_checkpoint(tmp_path / "b/best.safetensors").detector.landmarks
    assert facenas(*words, "--init", tmp_path / "a", "--no-landmarks", "--out", tmp_path / "c").code == 0
    assert not load_checkpoint(tmp_path / "c/best.safetensors").detector.landmarks


def test_a_training_that_is_stopped_early_can_be_exported(facenas: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "stopped"
    words = ("train", "--arch", TINY, "--data", photos, "--crop", 64, "--batch", 2, "--epochs", 9)
    stopped = json.loads(facenas(*words, "--max-minutes", "0", "--out", out, "--json").out)
    assert (stopped["finished"], stopped["checkpoint"]) == (False, str(out / "best.safetensors"))
    assert facenas("export", "--checkpoint", out, "--out", tmp_path / "model.onnx").code == 0
    (out / "best.safetensors").unlink()  # as after kill -9
    assert facenas("export", "--checkpoint", out, "--out", tmp_path / "model.onnx").code == 0


def test_more_epochs_are_another_training_that_starts_from_this_one(facenas: Run, trained: Path, photos: Path) -> None:
    words = ("train", "--arch", TINY, "--data", photos, "--input", "96x64", "--crop", 64, "--batch", 2)
    outcome = facenas(*words, "--epochs", 5, "--out", trained, "--resume")
    assert outcome.code == 2
    assert f"--init {trained} --epochs N --out ANOTHER" in outcome.err


def test_the_zoo_by_name(facenas: Run) -> None:
    assert str(given_architecture("facenas-5ms").input_size) == "512x384"
    assert given_model("facenas-5ms") == zoo_model("facenas-5ms")
    assert given_checkpoint("facenas-5ms") == zoo_checkpoint("facenas-5ms")
    small, large = (
        json.loads(facenas("score", name, "--json").out)["flops"] for name in ("facenas-1ms", "facenas-5ms")
    )
    assert small < large


def test_a_file_of_that_name_goes_before_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(zoo_model("facenas-5ms"), "facenas-12ms")
    assert given_model("facenas-12ms") == Path("facenas-12ms")


@pytest.mark.parametrize(
    ("take", "words"),
    [
        (given_architecture, "none of search.json, best.safetensors"),
        (given_model, r"no model\.onnx .* facenas export"),
        (given_checkpoint, r"no best\.safetensors .* facenas train"),
    ],
)
def test_a_folder_without_any_is_refused(take: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        take(tmp_path)


def test_a_json_that_is_no_search_is_refused(tmp_path: Path) -> None:
    for text in ("{}", "[1]", '{"architecture": 3, "input": "640x480"}'):
        (tmp_path / "search.json").write_text(text)
        with pytest.raises(InputError, match="no search result"):
            given_architecture(tmp_path)


def test_a_verification_by_hand_leaves_the_runs_own(facenas: Run, trained: Path, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_run(folder)
    before = (folder / "verify.json").read_bytes()
    assert facenas("export", "--checkpoint", trained, "--out", folder / "model.onnx").code == 0
    words = ("verify", folder, "--reference", trained, "--data", photos, "--no-calibrate")
    assert facenas(*words).code == 0
    assert (folder / "verify.json").read_bytes() == before
    assert json.loads((folder / "model.verify.json").read_text())["passed"]
    refused = facenas(*words, "--out", folder / "verify.json")
    assert refused.code == 2
    assert "the run's own verification" in refused.err
    page = json.loads(facenas("report", "run", folder, "--json").out)["page"]
    assert "facenas run report" in Path(page).read_text()
