"""A space of few, small networks and a made-up table of it, so that tests need no measuring."""

import json
from dataclasses import replace
from pathlib import Path

from facenas.architecture import Family, NeckAndHead, Stage
from facenas.devices.fingerprint import Fingerprint
from facenas.latency.table import Calibration, LatencyTable, OperatorTime
from facenas.operators import Operator
from facenas.spaces.space import Space
from facenas.units import Size

TINY_INPUT = Size(128, 96)
FINGERPRINT = Fingerprint("Test CPU", ("avx2", "fma"), 2, "unknown", "Linux x86_64", "onnxruntime", "1.0", "fp32", 1)


def tiny_space() -> Space:
    """Three stem widths, two last stages."""
    stems = tuple(Stage(Family.CONV, 3, width, 2, 1, 3) for width in (16, 32, 48))
    seconds = tuple(Stage(Family.CONV, width, 32, 2, 1, 3) for width in (16, 32, 48))
    middle = (Stage(Family.CONV, 32, 32, 2, 1, 3),)
    last = (Stage(Family.RESIDUAL, 32, 32, 2, 1, 3, 3, 16), Stage(Family.INVERTED, 32, 32, 2, 1, 3, 0, 16, 1))
    return Space("tiny", (stems, seconds, middle, middle, last), ((0, NeckAndHead(16, 16, 1, depthwise=True)),))


def write_tiny_space(folder: Path) -> Path:
    """The tiny space as a file that --space takes."""
    space = tiny_space()
    value = {
        "name": space.name,
        "stages": [[str(stage) for stage in choices] for choices in space.stages],
        "necks_and_heads": {str(least): str(design) for least, design in space.necks_and_heads},
    }
    path = folder / "tiny.json"
    path.write_text(json.dumps(value))
    return path


def made_up_cost_ns(operator: Operator) -> int:
    """A cost that grows with the work of an operator."""
    return 500 + operator.macs // 50 + operator.out_values // 20


def tiny_table() -> LatencyTable:
    """A table of the tiny space with made-up costs."""
    operators = {
        operator: OperatorTime(12, made_up_cost_ns(operator), made_up_cost_ns(operator) + 50, 100, True)
        for operator in tiny_space().operators(TINY_INPUT)
    }
    return LatencyTable(
        target="cpu",
        provenance="measured",
        date="2026-01-02T03:04:05+00:00",
        space="tiny",
        input_size=TINY_INPUT,
        fingerprint=FINGERPRINT,
        calibration=Calibration(1.02, 3000.0, 0.95, 1.06, 2.0, 8.0, 40, "made up"),
        operators=operators,
        seconds=1.5,
    )


def with_other_inputs(table: LatencyTable, others: tuple[Size, ...]) -> LatencyTable:
    """The table at further inputs, where costs go with the pixels, beside a fifth that does not."""
    shares = [0.2 + 0.8 * size.pixels / table.input_size.pixels for size in others]
    operators = {
        operator: replace(time, other_ns=tuple(round(share * time.low_ns) for share in shares))
        for operator, time in table.operators.items()
    }
    return replace(table, operators=operators, other_inputs=others)
