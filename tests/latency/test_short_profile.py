"""A short profile on made-up machines: whatever the prior table says, what was measured is predicted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.made_up_machine import COMPANION_NS, MadeUpMachine, made_up_table, operators_of, other_machine
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.architecture import Architecture
from facenas.devices.targets import resolve_target
from facenas.errors import AgentError, BusyMachineError, TableError
from facenas.latency.carriers import random_networks
from facenas.latency.predictor import Source, predict
from facenas.latency.short_profile import ShortPlan, short_profile
from facenas.latency.table import LatencyTable, load_table, save_table
from facenas.quiet import MAX_ERROR_PERCENT, Patience
from facenas.runtimes.runtime import read_fingerprint
from facenas.spaces.named import load_space
from facenas.units import Size

CPU = resolve_target("cpu")
EDGE, EDGE_INPUT = load_space("facenas-edge"), tiny_table().input_size
QUICK = ShortPlan(seconds=0.0, least_rounds=2)
THERE = operators_of(EDGE, EDGE_INPUT)
PRIOR = made_up_table(replace(tiny_table(), space="facenas-edge"), THERE)


def profile_on(machine: MadeUpMachine, prior: LatencyTable | None = PRIOR, plan: ShortPlan = QUICK) -> LatencyTable:
    patience = Patience(sleep=lambda seconds: None)
    return short_profile(CPU, EDGE, EDGE_INPUT, prior, plan=plan, patience=patience, agent=machine)  # type: ignore[arg-type]


def errors_percent(table: LatencyTable, machine: MadeUpMachine) -> np.ndarray:
    """By how much the predictions of 40 networks that took no part are off."""
    networks = random_networks(EDGE, 40, seed=9)
    predicted_ms = np.array([predict(network, table, EDGE_INPUT).latency_ms for network in networks])
    measured_ms = np.array([machine.latency_ns(network, EDGE_INPUT) / 1e6 for network in networks])
    return np.asarray(100 * np.abs(predicted_ms / measured_ms - 1))


@pytest.fixture(scope="module")
def measured() -> tuple[MadeUpMachine, LatencyTable]:
    """Another machine, and its table."""
    machine = MadeUpMachine(other_machine(THERE, 0))
    return machine, profile_on(machine)


def test_every_operator_may_cost_something_else_here(measured: tuple[MadeUpMachine, LatencyTable]) -> None:
    machine, table = measured
    assert errors_percent(table, machine).max() < 2.0
    assert table.calibration.error_percent < 2.0
    assert table.fingerprint == read_fingerprint(CPU)
    assert table.provenance == "measured"
    assert table.short_profile is not None


def test_no_other_table_is_needed() -> None:
    machine = MadeUpMachine(other_machine(THERE, 1))
    assert errors_percent(profile_on(machine, None), machine).max() < 2.0


def test_the_interval_holds_what_is_measured() -> None:
    machine = MadeUpMachine(other_machine(THERE, 3), noise=0.02)
    table = profile_on(machine)
    networks = random_networks(EDGE, 60, seed=9)
    predictions = [predict(network, table, EDGE_INPUT) for network in networks]
    # |N(0, 1)|, of which the machine's noise is made, has its 20th percentile at .253.
    truth_ms = [machine.latency_ns(network, EDGE_INPUT) / 1e6 * (1 + 0.02 * 0.253) for network in networks]
    held = [each.low_ms <= truth <= each.high_ms for each, truth in zip(predictions, truth_ms, strict=True)]
    assert np.mean(held) > 0.8


def test_operators_outside_the_space_are_carried_over_and_said_to_be() -> None:
    """Another machine is twice as slow, whatever the operator: what the space does not hold is so, too."""
    outside = operators_of(load_space("damofd-0.5g"), EDGE_INPUT)
    prior = made_up_table(PRIOR, {**outside, **THERE})
    machine = MadeUpMachine({operator: 2 * cost for operator, cost in THERE.items()})
    table = profile_on(machine, prior)
    carried = set(outside) - set(THERE)
    assert table.short_profile is not None
    assert table.short_profile.carried_over == len(carried)
    assert table.short_profile.prior_cpu == prior.fingerprint.cpu
    assert {operator for operator, time in table.operators.items() if not time.samples} == carried
    for operator in carried:
        assert table.operators[operator].low_ns == pytest.approx(2 * outside[operator], rel=0.05)
    (network,) = random_networks(load_space("damofd-0.5g"), 1, seed=0)
    prediction = predict(network, table, EDGE_INPUT)
    assert Source.CARRIED_OVER in {cost.source for cost in prediction.operators}
    (inside,) = random_networks(EDGE, 1, seed=0)
    assert {cost.source for cost in predict(inside, table, EDGE_INPUT).operators} == {Source.TABLE}


def test_a_table_that_lacks_operators_of_the_space_is_no_obstacle() -> None:
    """The prior is of another space: all that the elastic one needs is counted here, and what it lacks is carried over."""
    elastic = load_space("facenas-elastic")
    costs = operators_of(elastic, EDGE_INPUT)
    assert not set(costs) <= set(PRIOR.operators)
    machine = MadeUpMachine(other_machine({**THERE, **costs}, 4))
    patience = Patience(sleep=lambda seconds: None)
    table = short_profile(CPU, elastic, EDGE_INPUT, PRIOR, plan=QUICK, patience=patience, agent=machine)  # type: ignore[arg-type]
    assert {operator for operator, time in table.operators.items() if time.samples} == set(costs)
    networks = random_networks(elastic, 20, seed=9)
    predicted_ms = [predict(network, table, EDGE_INPUT).latency_ms for network in networks]
    measured_ms = [machine.latency_ns(network, EDGE_INPUT) / 1e6 for network in networks]
    assert predicted_ms == pytest.approx(measured_ms, rel=0.03)


def test_visits_beside_another_tenant_do_not_count() -> None:
    machine = MadeUpMachine(other_machine(THERE, 0), slow=lambda visit: 1.6 if visit % 7 < 4 else 1.0)
    table = profile_on(machine, plan=ShortPlan(seconds=4.0, least_rounds=2))
    assert errors_percent(table, machine).max() < 2.0


def test_a_restless_machine_is_measured_for_longer_until_the_error_is_small() -> None:
    generator = np.random.default_rng(0)
    machine = MadeUpMachine(other_machine(THERE, 0))
    honest = machine.latency_ns

    def restless_ns(detector: Architecture, input_size: Size) -> float:
        return honest(detector, input_size) * float(generator.choice([1.0, 1.5]))

    machine.latency_ns = restless_ns  # type: ignore[method-assign]
    said: list[str] = []
    patience = Patience(said.append, sleep=lambda seconds: None, clock=lambda: 0.1 * machine.visits)
    table = short_profile(CPU, EDGE, EDGE_INPUT, PRIOR, patience=patience, agent=machine)  # type: ignore[arg-type]
    assert ["the machine is restless" in line for line in said] == [True]
    assert table.calibration.error_percent <= MAX_ERROR_PERCENT
    assert ShortPlan.seconds < 0.1 * machine.visits < 8.5 * ShortPlan.seconds


def test_a_busy_machine_is_waited_for_and_what_it_disturbed_is_measured_again() -> None:
    machine = MadeUpMachine(other_machine(THERE, 0), waited=lambda visit: 0.5 if 20 <= visit < 24 else 0.0)
    pauses_s: list[float] = []
    said: list[str] = []
    patience = Patience(said.append, sleep=pauses_s.append)
    table = short_profile(CPU, EDGE, EDGE_INPUT, PRIOR, plan=QUICK, patience=patience, agent=machine)  # type: ignore[arg-type]
    assert pauses_s == [0.0, 2.0, 6.0, 20.0]
    assert all("waiting" in line and "cores of other work" in line for line in said)
    assert errors_percent(table, machine).max() < 2.0


def test_a_machine_that_stays_busy_is_refused_in_one_line() -> None:
    machine = MadeUpMachine(THERE, waited=lambda visit: 0.5)
    with pytest.raises(BusyMachineError, match=r"too busy to measure on: .* cores of other work") as caught:
        profile_on(machine)
    assert "\n" not in str(caught.value)


def test_a_table_with_a_large_error_is_not_given() -> None:
    generator = np.random.default_rng(0)
    machine = MadeUpMachine(THERE, slow=lambda visit: 1.0)
    honest = machine.latency_ns
    machine.latency_ns = lambda detector, input_size: honest(detector, input_size) * float(generator.uniform(0.7, 1.5))  # type: ignore[method-assign]
    with pytest.raises(BusyMachineError, match=r"mean error of .* and is not kept"):
        profile_on(machine)


def test_the_ratios_of_percentiles_are_those_of_the_runs() -> None:
    table = profile_on(MadeUpMachine(THERE, noise=0.05), plan=ShortPlan(seconds=0.0, least_rounds=6))
    assert table.ratio_to(20) == 1.0
    # |N(0, 1)| has its 20th, 50th and 90th percentile at .253, .674 and 1.645.
    assert table.ratio_to(50) == pytest.approx((1 + 0.05 * 0.674) / (1 + 0.05 * 0.253), abs=0.01)
    assert table.ratio_to(90) == pytest.approx((1 + 0.05 * 1.645) / (1 + 0.05 * 0.253), abs=0.02)


def test_a_network_that_the_runtime_refuses_is_named_and_the_rest_counts() -> None:
    class Refusing(MadeUpMachine):
        def measure(self, detector: object, *rest: object, **options: object) -> object:  # type: ignore[override]
            if "64,192" in str(detector):
                raise AgentError("the runtime crashed")
            return super().measure(detector, *rest, **options)  # type: ignore[arg-type]

    machine = Refusing(other_machine(THERE, 0))
    table = profile_on(machine)
    assert table.failures
    assert all("64,192" in failure and "crashed" in failure for failure in table.failures)
    assert errors_percent(table, machine).mean() < 10.0


def test_a_target_on_which_nothing_runs_has_no_table() -> None:
    class Dead(MadeUpMachine):
        def measure(self, *rest: object, **options: object) -> object:  # type: ignore[override]
            raise AgentError("no such instruction")

    with pytest.raises(TableError, match="no such instruction"):
        profile_on(Dead(THERE))


def test_the_table_is_saved_and_read_whole(tmp_path: Path, measured: tuple[MadeUpMachine, LatencyTable]) -> None:
    table, path = measured[1], tmp_path / "t.json"
    save_table(table, path)
    read = load_table(path)
    assert read.companion_ns == table.companion_ns == COMPANION_NS
    assert read.short_profile == table.short_profile
    assert read.operators == table.operators
    assert read.calibration.p90_ratio == pytest.approx(table.calibration.p90_ratio)


def test_a_space_of_few_networks_is_enough() -> None:
    costs = operators_of(tiny_space(), TINY_INPUT)
    machine = MadeUpMachine(costs)
    table = short_profile(CPU, tiny_space(), TINY_INPUT, None, plan=QUICK, agent=machine)  # type: ignore[arg-type]
    assert set(table.operators) == set(costs)
