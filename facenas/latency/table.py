"""LatencyTable: what each fused operator costs on one target, as plain JSON that diffs line by line.

The latency of a whole network is

    latency = scale * sum(low_ns of its operators) + offset

where `low_ns` is the 20th percentile of the operator's time in context and the calibration (scale, offset) was fitted
to whole networks. `low_ratio` and `high_ratio` are the 5th and 95th percentile of measured / predicted, each network
predicted by the others, both moved outwards by `drift`, so [low_ratio, high_ratio] * latency is a 90 % interval.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from facenas.devices.fingerprint import Fingerprint, fingerprint_from_json
from facenas.devices.target import Target
from facenas.errors import InputError, TableError
from facenas.files import is_file, read_json, write_atomic
from facenas.latency.input_sizes import Inputs
from facenas.latency.shipped import shipped_table_path, table_file_name
from facenas.operators import Operator
from facenas.units import DEFAULT_INPUT, Size, parse_size, significant

SCHEMA = 1
PROVENANCES = ("measured", "vendor-estimated", "modelled")
COUNTERS, WHOLE_NETWORKS = METHODS = ("counters", "whole networks")
"""The runtime's own counters of layers, or networks timed end to end (facenas/latency/whole_networks.py)."""


@dataclass(frozen=True)
class OperatorTime:
    """Nanoseconds of one operator over all its samples: 20th percentile, median, 75th minus 25th percentile.

    `stable` is False where the earlier and the later half of the samples disagree. What is modelled has 0 samples.
    `other_ns`: the 20th percentile at each of the table's other inputs.
    """

    samples: int
    low_ns: int
    median_ns: int
    spread_ns: int
    stable: bool
    other_ns: tuple[int, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """From sums of operators to whole networks; `error_percent` is the mean absolute error, cross-validated.

    `networks` is the number of whole networks measured; `note` says where the calibration is from. `drift` is the part of
    the interval that allows for whole sessions of measuring being off together, as a share of the latency. `pairs_ms`
    holds for each network its cross-validated prediction and what was measured; tables made before it was kept have none.
    `p50_ratio`, `p90_ratio`: the median and the 90th percentile of a network's runs over the 20th, where they were kept.
    """

    scale: float
    offset_ns: float
    low_ratio: float
    high_ratio: float
    error_percent: float
    worst_percent: float
    networks: int
    note: str
    drift: float = 0.0
    pairs_ms: tuple[tuple[float, float], ...] = ()
    p50_ratio: float | None = None
    p90_ratio: float | None = None

    @property
    def interval(self) -> str:
        """The 90 % interval for a person."""
        return f"{100 * (self.low_ratio - 1):+.1f} % to {100 * (self.high_ratio - 1):+.1f} %"

    def rounded(self) -> "Calibration":
        """With six significant digits, as every fit is kept: what follows them differs from processor to processor."""
        fits: dict[str, Any] = {
            name: significant(value) for name, value in vars(self).items() if isinstance(value, float)
        }
        return replace(self, **fits)


@dataclass(frozen=True)
class ShortProfile:
    """That a table is of a short profile (facenas/latency/short_profile.py), and of what table it had beside it.

    `carried_over` operators were not measured but carried over from the table of `prior_date` and `prior_cpu`, with a
    relative standard deviation of `doubt`; they have no samples. Without a prior table the texts are empty.
    """

    prior_date: str = ""
    prior_cpu: str = ""
    carried_over: int = 0
    doubt: float = 0.0


@dataclass(frozen=True, repr=False)
class LatencyTable:
    """The operators' times of one target on one machine, named as they are at `input_size` and measured there and at
    `other_inputs` (facenas/latency/input_sizes.py). `companion_ns`: what the companion took meanwhile
    (facenas/runtimes/companion.py), 0 where that is not known. `failures`: carriers that were kept out. `method`: what the
    operators' times were read from, one of METHODS. `block_px`: how many pixels of a row are computed at once."""

    target: str
    provenance: str
    date: str
    space: str
    input_size: Size
    fingerprint: Fingerprint
    calibration: Calibration
    operators: Mapping[Operator, OperatorTime]
    seconds: float
    failures: tuple[str, ...] = ()
    short_profile: ShortProfile | None = None
    other_inputs: tuple[Size, ...] = ()
    method: str = COUNTERS
    companion_ns: int = 0
    block_px: int = 1

    def __repr__(self) -> str:
        return f"<LatencyTable: {len(self.operators)} operators of {self.target} at {self.inputs}, {self.origin}>"

    @property
    def inputs(self) -> Inputs:
        """The input sizes that it tells of."""
        return Inputs(self.input_size, self.other_inputs, self.block_px)

    @property
    def origin(self) -> str:
        """The provenance; where it is not measured, with the error that its numbers are to be read with."""
        if self.provenance == "measured":
            return self.provenance
        error = self.calibration
        return f"{self.provenance}, mean error {error.error_percent:.0f} %, worst {error.worst_percent:.0f} %"

    def ratio_to(self, percentile: int) -> float:
        """What a latency of this table is multiplied by for another percentile of the runs than the 20th.

        Raises TableError where the table does not know it.
        """
        known = self._known_ratio(percentile)
        if known is None:
            raise TableError(
                f"the table for {self.target} does not tell the {percentile}th percentile; measure it here: "
                f"facenas calibrate --device {self.target}; or give the latency without @p{percentile}"
            )
        return known

    def tells(self, percentile: int) -> bool:
        """Whether `ratio_to` knows that percentile."""
        return self._known_ratio(percentile) is not None

    def _known_ratio(self, percentile: int) -> float | None:
        if self.provenance == "vendor-estimated":
            return 1.0  # an estimate is the same each time
        return {20: 1.0, 50: self.calibration.p50_ratio, 90: self.calibration.p90_ratio}[percentile]

    @property
    def unstable_operators(self) -> int:
        """Number of operators whose samples disagree."""
        return sum(not time.stable for time in self.operators.values())


def find_table(target: Target, input_size: Size, path: Path | None = None) -> LatencyTable:
    """The table at `path`, else that of ./latency_tables, else the one that ships; checked to fit target and size.

    A table of this size goes before one of several sizes that covers it. Raises TableError with the command that makes the
    table where there is none or where it does not fit.
    """
    command = f"facenas profile --device {target.name} --input {input_size}"
    if path is None:
        path = _table_path(target, input_size)
        if path is None:
            raise TableError(f"no latency table for device {target.name} at {input_size}; make one: {command}")
    table = load_table(path)
    if table.target != target.name:
        raise TableError(f"{path} is a table for {table.target}, not for {target.name}; make one: {command}")
    if (table.fingerprint.precision, table.fingerprint.runtime) != (target.precision, target.runtime):
        made_for = f"{table.fingerprint.runtime} {table.fingerprint.precision}"
        raise TableError(
            f"{path} was measured with {made_for}, {target.name} is {target.runtime} {target.precision}; "
            f"make one: {command}"
        )
    if not table.inputs.covers(input_size):
        raise TableError(f"{path} is for input {table.inputs}, not for {input_size}; make one: {command}")
    return table


def _table_path(target: Target, input_size: Size) -> Path | None:
    """Where the table of a target is that may cover a size."""
    for size in dict.fromkeys((input_size, DEFAULT_INPUT)):
        own = Path("latency_tables", table_file_name(target, size))
        path = own if own.is_file() else shipped_table_path(target.name, size)
        if path is not None:
            return path
    return None


def save_table(table: LatencyTable, path: Path) -> None:
    """Write the table atomically, one operator a line."""
    write_atomic(path, table_text(table))


def table_text(table: LatencyTable) -> str:
    """The table as its file holds it."""
    head = {
        "schema": SCHEMA,
        "target": table.target,
        "provenance": table.provenance,
        **({"method": table.method} if table.method != COUNTERS else {}),
        "date": table.date,
        "space": table.space,
        "input_size": str(table.input_size),
        **({"other_inputs": [str(size) for size in table.other_inputs]} if table.other_inputs else {}),
        **({"block_px": table.block_px} if table.block_px != 1 else {}),
        "seconds": round(table.seconds, 1),
        **({"companion_ns": table.companion_ns} if table.companion_ns else {}),
        "failures": list(table.failures),
        "fingerprint": table.fingerprint.to_json(),
        "calibration": {
            name: value for name, value in asdict(table.calibration).items() if name != "pairs_ms" and value is not None
        },
        "calibration_pairs_ms": "",
    }
    if table.short_profile is not None:
        head["short_profile"] = asdict(table.short_profile)
    lines = [
        "  " + json.dumps({"operator": str(operator)} | _written(table.operators[operator]), allow_nan=False)
        for operator in sorted(table.operators)
    ]
    start = json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}")
    pairs = json.dumps(table.calibration.pairs_ms, allow_nan=False)  # on one line, however many there are
    start = start.replace('"calibration_pairs_ms": ""', f'"calibration_pairs_ms": {pairs}')
    return f'{start},\n "operators": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def _written(time: OperatorTime) -> dict[str, Any]:
    return {name: value for name, value in asdict(time).items() if value != ()}


_LARGEST = 1e18  # nanoseconds, thirty years


def load_table(path: Path) -> LatencyTable:
    """Read and check a table. Raises TableError that says what is wrong with the file and how to make it anew."""
    if not is_file(path):
        raise TableError(f"no latency table at {path}; check the path")
    try:
        value = read_json(path, "latency table")
    except InputError as error:
        raise TableError(f"{error} with facenas profile") from error
    try:
        return _table_from_json(value)
    except (TableError, InputError) as error:
        raise TableError(f"{path}: {error}") from error


def _table_from_json(value: Any) -> LatencyTable:
    if not isinstance(value, dict) or "schema" not in value:
        raise TableError("this is no latency table (it has no schema version); make one with facenas profile")
    if value["schema"] != SCHEMA:
        raise TableError(
            f"latency table of schema {value['schema']!r}, this version reads schema {SCHEMA}; profile the device again"
        )
    needed = {field.name for field in fields(LatencyTable) if field.default is MISSING} - set(value)
    if needed:
        raise TableError(f"latency table lacks {', '.join(sorted(needed))}; profile the device again")
    if value["provenance"] not in PROVENANCES:
        raise TableError(f"provenance {value['provenance']!r} is none of {', '.join(PROVENANCES)}; profile again")
    if value.get("method", COUNTERS) not in METHODS:
        raise TableError(f"method {value['method']!r} is none of {', '.join(METHODS)}; profile again")
    rows = value["operators"]
    if not isinstance(rows, list) or not rows:
        raise TableError("latency table holds no operators; profile the device again")
    other_inputs = _other_inputs(value.get("other_inputs", []))
    operators = {Operator.from_text(_text(row, "operator")): _operator_time(row, len(other_inputs)) for row in rows}
    if len(operators) != len(rows):
        raise TableError("latency table lists an operator twice; profile the device again")
    failures = value["failures"]
    if not isinstance(failures, list):
        raise TableError(f"failures is {failures!r}, needs a list; profile the device again")
    return LatencyTable(
        target=_text(value, "target"),
        provenance=value["provenance"],
        date=_date(value),
        space=_text(value, "space"),
        input_size=parse_size(_text(value, "input_size")),
        fingerprint=fingerprint_from_json(value["fingerprint"]),
        calibration=_calibration(value["calibration"], value.get("calibration_pairs_ms", [])),
        operators=operators,
        seconds=_number(value, "seconds"),
        failures=tuple(map(str, failures)),
        short_profile=_short_profile(value.get("short_profile")),
        other_inputs=other_inputs,
        companion_ns=int(_number(value, "companion_ns")) if "companion_ns" in value else 0,
        block_px=int(_number(value, "block_px", least=1.0)) if "block_px" in value else 1,
        method=value.get("method", COUNTERS),
    )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, dict) or not isinstance(value.get(name), str):
        raise TableError(f"'{name}' is missing or no text in {str(value)[:80]}; profile the device again")
    text: str = value[name]
    return text


def _date(value: Any) -> str:
    text = _text(value, "date")
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise TableError(f"date '{text}' is no ISO date; profile the device again") from error
    return text


def _number(value: Any, name: str, least: float = 0.0) -> float:
    number = value.get(name) if isinstance(value, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | float) or not least <= number <= _LARGEST:
        where = value.get("operator", "the table") if isinstance(value, dict) else "the table"
        raise TableError(f"{where}: {name} is {number!r}, needs a number of at least {least:g}; profile again")
    return float(number)


def _other_inputs(value: Any) -> tuple[Size, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TableError(f"other_inputs is {str(value)[:80]}, needs a list of sizes; profile the device again")
    return tuple(map(parse_size, value))


def _operator_time(row: Any, other_inputs: int) -> OperatorTime:
    other_ns = row.get("other_ns", [])
    if not isinstance(other_ns, list) or len(other_ns) != other_inputs:
        raise TableError(f"{row['operator']}: other_ns needs a time for each of {other_inputs} inputs; profile again")
    if not isinstance(row.get("stable"), bool):
        raise TableError(f"{row['operator']}: stable is {row.get('stable')!r}, needs true or false; profile again")
    return OperatorTime(
        samples=int(_number(row, "samples")),
        low_ns=int(_number(row, "low_ns")),
        median_ns=int(_number(row, "median_ns")),
        spread_ns=int(_number(row, "spread_ns")),
        stable=row["stable"],
        other_ns=tuple(int(_number({"operator": row["operator"], "other_ns": each}, "other_ns")) for each in other_ns),
    )


def _calibration(value: Any, pairs_ms: Any) -> Calibration:
    numbers = {name: _number(value, name) for name in ("scale", "offset_ns", "low_ratio", "high_ratio")}
    if numbers["scale"] == 0 or numbers["low_ratio"] > numbers["high_ratio"]:
        raise TableError(f"calibration {numbers} cannot be; profile the device again")
    return Calibration(
        **numbers,
        error_percent=_number(value, "error_percent"),
        worst_percent=_number(value, "worst_percent"),
        networks=int(_number(value, "networks")),
        note=_text(value, "note"),
        drift=_number({"drift": 0.0} | value, "drift"),  # schema 1 had none at first
        pairs_ms=_pairs_ms(pairs_ms),
        p50_ratio=_ratio(value, "p50_ratio"),
        p90_ratio=_ratio(value, "p90_ratio"),
    )


def _ratio(value: Any, name: str) -> float | None:
    """A quantile over the 20th percentile, so at least 1; schema 1 had none at first."""
    return None if value.get(name) is None else _number(value, name, least=1.0)


def _short_profile(value: Any) -> ShortProfile | None:
    if value is None:
        return None
    carried_over, doubt = int(_number(value, "carried_over")), _number(value, "doubt")
    return ShortProfile(_text(value, "prior_date"), _text(value, "prior_cpu"), carried_over, doubt)


def _pairs_ms(value: Any) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list) or any(not isinstance(pair, list) or len(pair) != 2 for pair in value):
        raise TableError("calibration_pairs_ms is no list of [predicted, measured]; profile the device again")
    named = [dict(zip(("predicted_ms", "measured_ms"), pair, strict=True)) for pair in value]
    return tuple((_number(pair, "predicted_ms"), _number(pair, "measured_ms")) for pair in named)
