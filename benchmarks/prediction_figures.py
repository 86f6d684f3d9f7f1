"""How right were predicted latencies: the figures by which they are judged, and the bars that these must reach."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Bars:
    """What the predictions of a target must reach."""

    within_10_percent: float = 99.0
    within_5_percent: float = 95.0
    mean_error_percent: float = 2.5
    kendall_tau: float = 0.97
    interval_low: float = 85.0
    interval_high: float = 95.0
    second_table_percent: float = 3.0


@dataclass(frozen=True)
class Compared:
    """One network."""

    name: str
    measured_ms: float
    spread_ms: float
    predicted_ms: float
    low_ms: float
    high_ms: float
    calibrated_ms: float
    calibrated_low_ms: float
    calibrated_high_ms: float
    isolated_sum_ms: float | None


def accuracy(predicted_ms: Iterable[float], measured_ms: Iterable[float]) -> dict[str, float]:
    """The figures by which predictions are judged."""
    from scipy.stats import kendalltau

    predicted, measured = np.array(list(predicted_ms)), np.array(list(measured_ms))
    errors = 100 * np.abs(predicted / measured - 1)
    return {
        "within_10_percent": float(100 * np.mean(errors <= 10)),
        "within_5_percent": float(100 * np.mean(errors <= 5)),
        "mean_error_percent": float(errors.mean()),
        "worst_error_percent": float(errors.max()),
        "median_ratio": float(np.median(predicted / measured)),
        "kendall_tau": float(kendalltau(predicted, measured).statistic),
    }


def held_percent(cases: Iterable[tuple[float, float, float]]) -> float:
    """How many per cent of the cases (low, measured, high) lie in their interval."""
    return 100 * float(np.mean([low <= measured <= high for low, measured, high in cases]))


def missed_bars(figures: Mapping[str, float], bars: Bars) -> list[str]:
    """Names of the bars that a prediction's figures do not reach."""
    met = {
        "within 10 %": figures["within_10_percent"] >= bars.within_10_percent,
        "within 5 %": figures["within_5_percent"] >= bars.within_5_percent,
        "mean error": figures["mean_error_percent"] <= bars.mean_error_percent,
        "Kendall tau": figures["kendall_tau"] >= bars.kendall_tau,
        "90 % interval": bars.interval_low <= figures["interval_holds_percent"] <= bars.interval_high,
    }
    return [name for name, fine in met.items() if not fine]


def summary(compared: Sequence[Compared], bars: Bars, second_percent: float | None) -> dict[str, Any]:
    """All figures, and the names of the bars that were missed."""
    measured = [entry.measured_ms for entry in compared]
    stored = accuracy((entry.predicted_ms for entry in compared), measured) | {
        "interval_holds_percent": held_percent((entry.low_ms, entry.measured_ms, entry.high_ms) for entry in compared)
    }
    calibrated = accuracy((entry.calibrated_ms for entry in compared), measured) | {
        "interval_holds_percent": held_percent(
            (entry.calibrated_low_ms, entry.measured_ms, entry.calibrated_high_ms) for entry in compared
        )
    }
    far_apart = second_percent is not None and second_percent > bars.second_table_percent
    lone = [entry.isolated_sum_ms for entry in compared if entry.isolated_sum_ms is not None]
    return {
        "count": len(compared),
        "fastest_ms": min(measured),
        "slowest_ms": max(measured),
        "table": stored,
        "calibrated_table": calibrated,
        "isolated_sum": accuracy(lone, measured) if lone else None,
        "second_table_median_difference_percent": second_percent,
        "missed": missed_bars(stored, bars) + (["two profiles agree"] if far_apart else []),
        "missed_when_calibrated": missed_bars(calibrated, bars),
    }
