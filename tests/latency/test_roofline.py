import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facenas.architecture import published_detector
from facenas.devices.target import MODELLED_NAMES
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.latency.input_sizes import ALL_INPUTS
from facenas.latency.predictor import predict
from facenas.latency.published_networks import network_operators
from facenas.latency.roofline import Published, Roofline, fit, held_out_ratios, modelled_table, read_published
from facenas.latency.shipped import shipped_table_path
from facenas.latency.table import LatencyTable, load_table, save_table
from facenas.operators import Operator
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.units import Size

SIZE = Size(640, 480)

# Billions of operations (two a multiply-accumulate) as their authors publish them.
PUBLISHED_GIGAFLOPS = {
    "yolov8n": 8.7,
    "yolov8s": 28.6,
    "yolov8m": 78.9,
    "yolo11n": 6.5,
    "yolo11s": 21.5,
    "yolo11m": 68.0,
    "yolo11l": 86.9,
    "yolo11x": 194.9,
    "yolox-s": 26.8,
}


@pytest.fixture(scope="module")
def published() -> Published:
    return read_published()


@pytest.fixture(scope="module")
def roofline(published: Published) -> Roofline:
    return fit(published, (figure for figure in published.figures if figure.fitted))


@pytest.mark.parametrize(("name", "gigaflops"), PUBLISHED_GIGAFLOPS.items())
def test_the_described_networks_are_the_published_ones(name: str, gigaflops: float) -> None:
    macs = sum(operator.macs for operator in network_operators(name))
    assert 2 * macs / 1e9 == pytest.approx(gigaflops, rel=0.01)


def test_every_figure_is_of_a_described_network_and_board_and_names_its_source(published: Published) -> None:
    for figure in published.figures:
        assert network_operators(figure.network)
        assert published.boards[figure.board].source
        assert len(figure.source) > 20
    assert set(published.boards) >= MODELLED_NAMES


def test_an_operator_takes_what_its_compute_or_its_bytes_take(published: Published) -> None:
    board = published.boards["jetson-agx-orin"]
    model = Roofline(compute_share=0.5, bandwidth_share=0.5, launch_cycles=13_000)
    launch_ns = 10_000
    dense = Operator.from_text("conv 512->512 k3s1 64x64")
    macs = 512 * 512 * 9 * 64 * 64
    assert model.operator_ns(dense, board) == pytest.approx(macs / (0.5 * 16 * 1.3 * 1024) + launch_ns)
    thin = Operator.from_text("conv+relu 16->16 k1s1 512x512")
    size_bytes = 2 * (2 * 16 * 512 * 512 + 16 * 16)
    assert model.operator_ns(thin, board) == pytest.approx(size_bytes / (0.5 * 204.8) + launch_ns)


def test_channels_are_counted_in_blocks_of_eight(published: Published) -> None:
    board = published.boards["jetson-orin-nano"]
    model = Roofline(compute_share=0.01, bandwidth_share=1.0, launch_cycles=0)
    nine, sixteen = (Operator.from_text(f"conv {i}->{i} k3s1 64x64") for i in (9, 16))
    assert model.operator_ns(nine, board) == model.operator_ns(sixteen, board)


def test_the_fit_finds_the_roofline_that_made_the_figures(published: Published) -> None:
    truth = Roofline(0.4, 0.6, 15_000.0)
    made = [
        replace(figure, latency_ms=truth.network_ms(network_operators(figure.network), published.boards[figure.board]))
        for figure in published.figures
    ]
    found = fit(published, made)
    assert found.compute_share == pytest.approx(truth.compute_share, rel=0.01)
    assert found.bandwidth_share == pytest.approx(truth.bandwidth_share, rel=0.01)
    assert found.launch_cycles == pytest.approx(truth.launch_cycles, rel=0.01)


def test_networks_that_a_fit_has_not_seen_are_predicted_within_what_the_table_says(published: Published) -> None:
    ratios = np.array(list(held_out_ratios(published).values()))
    assert len(ratios) == len(published.figures)
    assert np.abs(1 / ratios - 1).mean() < 0.15
    assert np.abs(1 / ratios - 1).max() < 0.40


@pytest.mark.parametrize("name", sorted(MODELLED_NAMES))
def test_a_modelled_table_says_so_and_carries_its_error(name: str, tmp_path: Path) -> None:
    table = modelled_table(resolve_target(name), load_space("facenas-edge"), Size(320, 256))
    assert table.provenance == "modelled"
    assert table.calibration.networks >= 6
    assert 0 < table.calibration.error_percent <= table.calibration.worst_percent < 40
    assert "not measured" in table.calibration.note
    assert "modelled, mean error" in table.origin
    assert all(time.samples == 0 for time in table.operators.values())
    save_table(table, tmp_path / "table.json")
    assert load_table(tmp_path / "table.json") == table


def _shipped(name: str) -> LatencyTable:
    path = shipped_table_path(name)
    assert path is not None
    return load_table(path)


@pytest.mark.parametrize("name", sorted(MODELLED_NAMES))
def test_the_shipped_table_is_the_one_that_the_command_makes(name: str) -> None:
    """To what a fit gives on any processor: its seventh digit is the processor's own."""
    made = modelled_table(resolve_target(name), load_space(DEFAULT_SPACE), SIZE, other_inputs=ALL_INPUTS.others)
    shipped = _shipped(name)
    for number, value in vars(made.calibration).items():
        close = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
        assert getattr(shipped.calibration, number) == close, number
    assert {operator: time.low_ns for operator, time in shipped.operators.items()} == pytest.approx(
        {operator: time.low_ns for operator, time in made.operators.items()}, rel=1e-4, abs=1
    )
    same = replace(made, calibration=shipped.calibration, operators=shipped.operators, date=shipped.date)
    assert shipped == same


def test_a_larger_board_is_faster_and_the_interval_holds_the_prediction() -> None:
    detector = published_detector("damofd-2.5g")
    nano, agx = (predict(detector, _shipped(name), SIZE) for name in ("jetson-orin-nano", "jetson-agx-orin"))
    assert agx.latency_ms < nano.latency_ms
    for prediction in (nano, agx):
        assert prediction.low_ms <= prediction.latency_ms <= prediction.high_ms
        assert prediction.provenance == "modelled"


def test_a_target_without_figures_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not modelled"):
        modelled_table(resolve_target("cpu"), load_space("damofd-0.5g"), SIZE)
    path = tmp_path / "published.json"
    path.write_text(json.dumps({"boards": {}}))
    with pytest.raises(InputError, match="damaged"):
        read_published(path)
