import json
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import description_of

from facenas.cli.main import main
from facenas.detector.face_detector import FaceDetector
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.runtimes.compiled_model import example_image
from facenas.runtimes.runtime import load_model
from facenas.steps.export import export
from facenas.zoo import DEFAULT_NAME, ZOO_NAMES, checkpoint_path, model_path, zoo_checkpoint, zoo_model


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_a_detector_of_the_zoo_has_a_model_and_a_card(name: str) -> None:
    model = zoo_model(name)
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    assert str(description_of(model).detector) in card
    for word in (f"# {name}", "**Data**", "Terms", "**Recipe**", "**Accuracy**", "**Latency**", "**Limits**"):
        assert word in card
    assert len(FaceDetector(model)(np.zeros((48, 64, 3), np.uint8))) == 0


@pytest.mark.parametrize("name", ZOO_NAMES)
def test_weights_are_those_of_their_model(name: str, tmp_path: Path) -> None:
    exported = export(zoo_checkpoint(name), out=tmp_path / "again.onnx").path
    image = example_image(description_of(exported).input_size)
    again, shipped = (load_model(path, resolve_target("cpu")).run(image) for path in (exported, zoo_model(name)))
    for output, values in shipped.items():
        np.testing.assert_array_equal(again[output], values)


def test_names_stand_for_files_and_files_of_ones_own_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert model_path(Path(DEFAULT_NAME)) == zoo_model()
    assert checkpoint_path(Path(DEFAULT_NAME)) == zoo_checkpoint()
    assert model_path(Path("model.onnx")) == Path("model.onnx")
    Path(DEFAULT_NAME).write_text("mine")
    assert model_path(Path(DEFAULT_NAME)) == Path(DEFAULT_NAME)
    with pytest.raises(InputError, match=f"'huge' ships with facenas; there are {ZOO_NAMES[0]}"):
        zoo_model("huge")


def test_a_command_takes_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["facenas", "export", "--checkpoint", DEFAULT_NAME, "--input", "64x64", "--out", "small.onnx"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert capsys.readouterr().out
    assert Path("small.onnx").read_bytes() != zoo_model().read_bytes()
    assert description_of(Path("small.onnx")).detector == description_of(zoo_model()).detector


@pytest.mark.parametrize("name", [*(name for name in ZOO_NAMES if name != "facenas-12ms"), "facenas-elastic"])
def test_what_the_weights_are_made_of_adds_up(name: str) -> None:
    card = zoo_model().with_name(f"{name}.md").read_text(encoding="utf-8")
    bom = json.loads(zoo_model().with_name(f"{name}.bom.json").read_text(encoding="utf-8"))
    sets = bom["photo_sets"]
    assert bom["name"] == name
    assert bom["may_be_sold"] is False
    for what, total in bom["total"].items():
        assert sum(each[what] for each in sets) == total
    assert f"{bom['total']['photos']:,} photos" in card
    for each in sets:
        assert sum(source["photos"] for source in each["sources"]) == each["photos"], each["set"]
        assert len(each["labels_sha256"]) == 64
