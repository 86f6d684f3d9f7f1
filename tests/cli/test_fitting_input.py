"""A latency budget sets the input that photos are scaled to: the largest that is fast enough."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from facenas.exporters.formats import description_of
from helpers.command_line import Outcome
from helpers.tiny_tables import with_other_inputs

from facenas.data.image import encode_jpeg
from facenas.data.synthetic import draw_photo
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError, InputError
from facenas.latency.predictor import predict
from facenas.latency.table import find_table, save_table
from facenas.steps.detect import DetectSettings
from facenas.steps.fitting_input import fitting_input
from facenas.units import DEFAULT_INPUT, LatencyBudget, Size
from facenas.zoo import zoo_model

Run = Callable[..., Outcome]


CPU = resolve_target("cpu")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped table, with made-up times at further inputs, where it is found first."""
    shipped = find_table(resolve_target("cpu"), DEFAULT_INPUT)
    path = tmp_path / "latency_tables" / "cpu.json"
    path.parent.mkdir()
    save_table(with_other_inputs(shipped, (Size(192, 160), Size(960, 736))), path)
    monkeypatch.chdir(tmp_path)
    return path


def test_the_largest_input_within_the_budget_is_taken(table: Path) -> None:
    detector, known = description_of(zoo_model("facenas-12ms")).detector, find_table(CPU, Size(512, 384))
    at_512_ms = predict(detector, known, Size(512, 384)).latency_ms
    assert fitting_input(zoo_model("facenas-12ms"), CPU, LatencyBudget(at_512_ms + 0.001)) == Size(512, 384)
    smaller = fitting_input(zoo_model("facenas-12ms"), CPU, LatencyBudget(at_512_ms - 0.001))
    assert smaller.pixels < Size(512, 384).pixels
    assert fitting_input(zoo_model("facenas-12ms"), CPU, LatencyBudget(1000.0)) == DEFAULT_INPUT
    with pytest.raises(
        BudgetError, match=r"even at 256x192, more than 0.1ms; raise the budget, or find a faster detector"
    ):
        fitting_input(zoo_model("facenas-12ms"), CPU, LatencyBudget(0.1))


def test_detect_scales_photos_to_it(facenas: Run, table: Path, tmp_path: Path) -> None:
    photo, _, _ = draw_photo(640, 480, np.random.default_rng(0))
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(photo, 92))
    done = facenas("detect", tmp_path / "photo.jpg", "--model", "facenas-12ms", "--latency", "8ms", "--json")
    assert done.code == 0, done.err
    assert "within 8ms" in done.err
    assert facenas("detect", tmp_path / "photo.jpg", "--model", "facenas-12ms", "--latency", "eight").code == 2
    with pytest.raises(InputError, match="both set the input; keep one"):
        DetectSettings(long_side_px=320, latency="3ms")
