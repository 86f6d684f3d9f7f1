"""One table for all input sizes: nothing is extrapolated, and in between costs are linear in the pixels."""

from dataclasses import replace
from math import fsum
from pathlib import Path

import pytest
from helpers.made_up_machine import OFFSET_NS, MadeUpMachine
from helpers.tiny_tables import FINGERPRINT, TINY_INPUT, tiny_space, tiny_table, with_other_inputs
from hypothesis import given
from hypothesis import strategies as st

from facenas.architecture import Architecture
from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.graph import build_graph, inventory
from facenas.latency.carriers import random_networks
from facenas.latency.input_sizes import ALL_INPUTS, Inputs, moved, timed_inputs
from facenas.latency.predictor import OperatorCosts, Source, predict
from facenas.latency.profile_plan import Plan
from facenas.latency.profiler import profile
from facenas.latency.short_profile import ShortPlan, short_profile
from facenas.latency.table import find_table, load_table, save_table
from facenas.operators import Operator
from facenas.quiet import Patience
from facenas.spaces.named import load_space
from facenas.units import DEFAULT_INPUT, Size

CPU = resolve_target("cpu")
OTHERS = (Size(256, 192), Size(64, 64))
SIDES = st.integers(2, 30).map(lambda times: 32 * times)


@given(SIDES, SIDES)
def test_shares_are_those_of_the_two_inputs_around(width_px: int, height_px: int) -> None:
    size = Size(width_px, height_px)
    if not ALL_INPUTS.covers(size):
        with pytest.raises(TableError, match="outside of what was measured, 192x160 to 960x736"):
            ALL_INPUTS.shares(size)
        return
    shares = ALL_INPUTS.shares(size)
    assert all(share >= 0 for share in shares)
    assert sum(share > 0 for share in shares) <= 2
    assert fsum(shares) == pytest.approx(1)
    pixels = fsum(share * each.pixels for share, each in zip(shares, ALL_INPUTS.all, strict=True))
    assert pixels == pytest.approx(size.pixels)


@given(SIDES, SIDES, st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_an_operator_is_between_inputs_by_whole_blocks_of_its_rows(
    width_px: int, height_px: int, reduction: int
) -> None:
    inputs, size = Inputs(ALL_INPUTS.home, ALL_INPUTS.others, block_px=2), Size(width_px, height_px)
    if not inputs.covers(size):
        return
    shares = inputs.shares(size, reduction)
    assert all(share >= 0 for share in shares)
    assert fsum(shares) == pytest.approx(1)
    if size in inputs.all:
        assert shares[inputs.all.index(size)] == 1
        return

    def written_px(each: Size) -> int:  # rows rounded up to pairs
        width, height = each.width_px // reduction, each.height_px // reduction
        return (width + width % 2) * height

    measured = [written_px(each) for each in inputs.all]
    expected = min(max(written_px(size), min(measured)), max(measured))
    assert fsum(share * each for share, each in zip(shares, measured, strict=True)) == pytest.approx(expected)


def test_a_table_that_counts_by_blocks_is_saved_and_predicts_by_them(tmp_path: Path) -> None:
    table = replace(with_other_inputs(tiny_table(), OTHERS), block_px=2)
    save_table(table, tmp_path / "t.json")
    assert load_table(tmp_path / "t.json") == table
    (detector,) = random_networks(tiny_space(), 1, seed=0)
    odd, even = Size(224, 128), Size(192, 128)  # 7 and 6 columns of the coarsest features
    by_pixels, by_blocks = (
        [{cost.operator: cost.latency_us for cost in predict(detector, each, size).operators} for size in (odd, even)]
        for each in (replace(table, block_px=1), table)
    )
    assert by_blocks[1] == by_pixels[1]
    dearer = {operator for operator, cost in by_blocks[0].items() if cost > by_pixels[0][operator]}
    assert dearer == {operator for operator in by_blocks[0] if operator.out_width_px == 7}


@pytest.mark.parametrize("size", [Size(192, 160), Size(480, 640), Size(352, 288), Size(960, 736)])
def test_a_network_at_another_input_has_the_same_places(size: Size) -> None:
    (detector,) = random_networks(load_space("facenas-elastic"), 1, seed=3)
    at_home = [moved(operator, size, DEFAULT_INPUT) for operator in inventory(detector, size)]
    assert at_home == list(inventory(detector, DEFAULT_INPUT))


def test_between_two_inputs_a_prediction_is_linear_and_less_certain() -> None:
    table = with_other_inputs(tiny_table(), OTHERS)
    (detector,) = random_networks(tiny_space(), 1, seed=0)
    at_home, above = (predict(detector, table, size) for size in (TINY_INPUT, OTHERS[0]))
    between = predict(detector, table, Size(192, 160))
    share = (192 * 160 - 128 * 96) / (256 * 192 - 128 * 96)
    assert between.latency_ms == pytest.approx(at_home.latency_ms + share * (above.latency_ms - at_home.latency_ms))
    assert {cost.source for cost in at_home.operators + above.operators} == {Source.TABLE}
    assert {cost.source for cost in between.operators} == {Source.INTERPOLATED}
    assert between.high_ms / between.latency_ms > above.high_ms / above.latency_ms


def test_outside_of_its_inputs_a_table_says_what_it_is_for() -> None:
    table = with_other_inputs(tiny_table(), OTHERS)
    (detector,) = random_networks(tiny_space(), 1, seed=0)
    with pytest.raises(TableError, match=r"is for input 64x64 to 256x192, not 320x256; make one: facenas profile"):
        predict(detector, table, Size(320, 256))
    with pytest.raises(TableError, match="outside of what was measured"):
        OperatorCosts(table, Size(32, 32))


def test_a_table_of_several_inputs_is_saved_and_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = (Size(192, 160), Size(960, 736))
    at_home = {moved(each, TINY_INPUT, DEFAULT_INPUT): time for each, time in tiny_table().operators.items()}
    table = with_other_inputs(replace(tiny_table(), input_size=DEFAULT_INPUT, operators=at_home), others)
    path = tmp_path / "latency_tables" / "cpu.json"
    path.parent.mkdir()
    save_table(table, path)
    monkeypatch.chdir(tmp_path)
    assert load_table(path) == table
    assert find_table(CPU, Size(512, 384)) == table
    path.write_text(path.read_text().replace('"other_ns": [', '"other_ns": [1, ', 1))
    with pytest.raises(TableError, match="other_ns needs a time for each of 2 inputs; profile again"):
        load_table(path)


class AnySize(MadeUpMachine):
    """Operators cost by their work alone, whatever the input: linear in its pixels."""

    target, fingerprint, as_graph = CPU, FINGERPRINT, None

    def __init__(self) -> None:
        super().__init__({})

    def latency_ns(self, detector: Architecture, input_size: Size) -> float:
        self._know(detector, input_size)
        return super().latency_ns(detector, input_size)

    def measure(self, detector: Architecture, input_size: Size, **options: object) -> object:  # type: ignore[override]
        self._know(detector, input_size)
        return super().measure(detector, input_size, **options)  # type: ignore[arg-type]

    def _know(self, detector: Architecture, input_size: Size) -> None:
        costs = dict(self.costs_ns)
        for operator in build_graph(detector, input_size).operators:
            costs.setdefault(operator, cost_ns(operator))
        self.costs_ns = costs


def cost_ns(operator: Operator) -> float:
    """Reading counts more than writing, and channels count more where there are many."""
    return 3_000.0 + operator.macs / (20 + operator.in_channels) + operator.in_values / 10 + operator.out_values / 20


def test_a_short_profile_predicts_inputs_that_it_did_not_measure() -> None:
    machine, elastic = AnySize(), load_space("facenas-elastic")
    plan = ShortPlan(seconds=0.0, least_rounds=2, other_inputs=ALL_INPUTS.others)
    table = short_profile(CPU, elastic, DEFAULT_INPUT, None, plan=plan, patience=Patience(), agent=machine)  # type: ignore[arg-type]
    assert table.inputs == ALL_INPUTS
    for size in (DEFAULT_INPUT, Size(192, 160), Size(224, 192), Size(512, 288), Size(384, 288), Size(896, 672)):
        for detector in random_networks(elastic, 8, seed=5):
            measured_ms = machine.latency_ns(detector, size) / 1e6
            assert predict(detector, table, size).latency_ms == pytest.approx(measured_ms, rel=0.04)


def test_a_long_profile_predicts_them_too(tmp_path: Path) -> None:
    others = (Size(64, 64), Size(256, 192))
    plan = Plan(1, 12, seconds=0.0, least_rounds=4, published=False, other_inputs=others)
    machine = AnySize()
    table = profile(machine, tiny_space(), TINY_INPUT, tmp_path / "t.json", plan=plan)  # type: ignore[arg-type]
    assert load_table(tmp_path / "t.json").other_inputs == others
    for detector in random_networks(tiny_space(), 6, seed=5):
        measured_ms = (machine.latency_ns(detector, Size(160, 128)) - OFFSET_NS) / 1e6
        predicted_ms = predict(detector, table, Size(160, 128)).latency_ms - table.calibration.offset_ns / 1e6
        assert predicted_ms == pytest.approx(measured_ms, rel=0.1)


def test_networks_are_timed_between_the_inputs_of_operators() -> None:
    sizes = timed_inputs(ALL_INPUTS, 20)
    assert sizes.count(DEFAULT_INPUT) == 10
    assert set(sizes) - set(ALL_INPUTS.all)
    assert all(map(ALL_INPUTS.covers, sizes))
    assert timed_inputs(Inputs(TINY_INPUT), 3) == [TINY_INPUT] * 3
