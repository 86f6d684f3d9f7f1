"""A long profile's table takes over what only another machine's table has measured, and says so wherever it counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.made_up_machine import made_up_table, operators_of
from helpers.tiny_tables import tiny_table

from facenas.devices.targets import resolve_target
from facenas.errors import TableError
from facenas.latency.carriers import random_networks
from facenas.latency.extended_table import extended
from facenas.latency.predictor import OperatorCosts, Source, predict
from facenas.latency.provenance import facts_of
from facenas.latency.table import load_table, save_table
from facenas.latency.this_machine import TableRequest, is_measured_here, table_of_this_machine
from facenas.runtimes.runtime import read_fingerprint
from facenas.spaces.named import load_space

EDGE, ELASTIC = load_space("facenas-edge"), load_space("facenas-elastic")
INPUT = tiny_table().input_size
HERE = operators_of(EDGE, INPUT)
THERE = {operator: 2 * cost for operator, cost in ({**HERE, **operators_of(ELASTIC, INPUT)}).items()}
TABLE = made_up_table(replace(tiny_table(), space="facenas-edge"), HERE)
OTHER = made_up_table(replace(tiny_table(), space="facenas-elastic", date="2026-01-02T00:00:00+00:00"), THERE)


def test_what_was_measured_stays_and_the_rest_is_carried_over_and_told(tmp_path: Path) -> None:
    save_table(extended(TABLE, OTHER), tmp_path / "t.json")
    table = load_table(tmp_path / "t.json")
    assert {operator: table.operators[operator] for operator in HERE} == TABLE.operators
    added = set(THERE) - set(HERE)
    for operator in added:
        assert table.operators[operator].low_ns == pytest.approx(THERE[operator] / 2, rel=0.1)
    assert table.short_profile is not None
    assert table.short_profile.carried_over == len(added) > 0
    words = facts_of(table, table.fingerprint).words
    assert "on this kind of machine" in words
    assert f"{len(added)} of {len(THERE)} operators carried over from" in words
    (outside,) = (net for net in random_networks(ELASTIC, 1, seed=0))
    costs = predict(outside, table, INPUT).operators
    assert Source.CARRIED_OVER in {cost.source for cost in costs}
    (inside,) = random_networks(EDGE, 1, seed=0)
    before, after = predict(inside, TABLE, INPUT), predict(inside, table, INPUT)
    assert after.latency_ms == before.latency_ms


def test_a_machine_of_that_kind_still_measures_what_was_carried_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is enough for the space that was measured, not for the one that was not."""
    monkeypatch.setenv("FACENAS_CALIBRATE", "yes")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = resolve_target("cpu")
    assert is_measured_here(target)
    table = replace(extended(TABLE, OTHER), fingerprint=read_fingerprint(target))
    table = replace(table, calibration=replace(table.calibration, p50_ratio=1.0, p90_ratio=1.1))
    path = tmp_path / "t.json"
    save_table(table, path)
    measured: list[str] = []

    def measure(target: object, space: object, *rest: object, **options: object) -> object:
        measured.append(str(getattr(space, "name", "")))
        return table

    for space in (EDGE, ELASTIC):
        table_of_this_machine(TableRequest(target, (INPUT,), space, path), measure=measure)  # type: ignore[arg-type]
    assert measured == ["facenas-elastic"]
    costs = OperatorCosts(table)
    assert costs.reaches(ELASTIC.operators(INPUT))
    assert not costs.reaches(ELASTIC.operators(INPUT), measured=True)
    assert costs.reaches(EDGE.operators(INPUT), measured=True)


@pytest.mark.parametrize(
    ("table", "other", "words"),
    [
        (TABLE, replace(OTHER, target="cpu-int8"), "tables of cpu at .* and of cpu-int8"),
        (extended(TABLE, OTHER), OTHER, "extended already"),
        (OTHER, TABLE, "has all that the other has measured"),
    ],
)
def test_tables_that_do_not_fit_are_refused(table: object, other: object, words: str) -> None:
    with pytest.raises(TableError, match=words):
        extended(table, other)  # type: ignore[arg-type]


def test_the_doubt_is_that_of_the_ridge() -> None:
    """Where the machines differ operator by operator, without rule, the doubt says so."""
    generator = np.random.default_rng(0)
    unruly = {operator: cost * float(np.exp(generator.normal(0, 0.2))) for operator, cost in THERE.items()}
    table = extended(TABLE, made_up_table(OTHER, unruly))
    assert table.short_profile is not None
    assert 0.1 < table.short_profile.doubt < 0.4
