"""The supernet that ships: it is of the space as it is, its accuracy table is of it, and a slice of it finds faces."""

from pathlib import Path

import pytest

from facenas.accuracy.accuracy_table import load_accuracy_table
from facenas.accuracy.predicted_ap import predicted_ap
from facenas.evaluation.protocols import EVALUATION_MIN_SCORE
from facenas.networks.slices import open_supernet
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.elastic_space import elastic_space
from facenas.steps.evaluate import evaluate
from facenas.steps.export import export
from facenas.steps.slice import slice as cut
from facenas.units import DEFAULT_INPUT
from facenas.zoo import zoo_accuracy_table, zoo_supernet

MAX_BYTES = 10_000_000


@pytest.fixture
def supernet() -> Path:
    path = zoo_supernet(DEFAULT_SPACE)
    assert path is not None
    return path


def test_the_table_is_of_the_supernet_and_both_of_the_space(supernet: Path) -> None:
    assert supernet.stat().st_size < MAX_BYTES
    place = zoo_accuracy_table(DEFAULT_SPACE)
    assert place is not None
    table, source = load_accuracy_table(place), open_supernet(supernet)
    table.require_space(elastic_space(DEFAULT_SPACE))
    assert table.supernet.sha256 == source.sha256
    assert predicted_ap(table, DEFAULT_INPUT).facts.tau > 0.6
    assert table.learned_weights(DEFAULT_INPUT)[2] > 0.3  # small faces are seen in stage 3


def test_a_slice_finds_real_faces_as_well_as_the_table_says(supernet: Path, shared_dir: Path, tmp_path: Path) -> None:
    place, photos = zoo_accuracy_table(DEFAULT_SPACE), shared_dir / "data" / "wider_dev100"
    assert place is not None
    table = load_accuracy_table(place)
    judged = table.slices[0]
    cut(supernet, judged.architecture, photos=photos, out=tmp_path / "slice.safetensors")
    export(tmp_path / "slice.safetensors", out=tmp_path / "model.onnx")
    found = evaluate(tmp_path / "model.onnx", photos, protocol="vga")
    # The appraisal passes scores below 0.05 over, the protocol those below 0.02.
    assert EVALUATION_MIN_SCORE == 0.02
    for name, value in found.average_precisions.items():
        assert value == pytest.approx(judged.precision[str(DEFAULT_INPUT)][name], abs=0.004)
