"""Is a workload slower than it was? First whether there is a difference at all, then how large it is.

Every visit i to a workload gave the least time x_i of a few runs, and the least time r_i of a fixed reference workload
run right before and after. There are two views of it, log x_i and log(x_i / r_i): what slows the whole machine (a lower
clock) is no change in the second; what slows the reference alone (other tenants' cache) is none in the first. Other
work only ever lengthens a run, so of each session and view only the lower half of the visits counts. Between the
halves A (before) and B (after):

1. Mann-Whitney's test, one-sided: are those of B larger? It asks nothing of the noise's distribution.
2. The ratio exp(median B - median A), with a 98 % interval from all differences, the one that belongs to that test
   (Hodges and Lehmann 1963): the k-th least and k-th greatest, k = m n / 2 - z sqrt(m n (m + n + 1) / 12).

Of the two views the one that shows less change counts.

A regression is a p below `SIGNIFICANCE`, a ratio above `TOLERATED` and an interval above `CERTAIN`. The test alone
would not do: two sessions of one build differ by a few percent on a shared machine, and enough samples make that
significant. What comes near a regression is `suspicious`: reason to look again (facenas/bench/gate.py).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facenas.bench.record import Record, Timing, require_comparable
from facenas.errors import InputError

SIGNIFICANCE = 0.01
TOLERATED = 1.08
CERTAIN = 1.03
SUSPICIOUS_P, SUSPICIOUS_RATIO = 0.05, 1.05
_Z = 2.326  # of a 98 % interval: both ends at SIGNIFICANCE
LEAST_VISITS = 10  # five in a half; below, no arrangement of the samples is rare enough to mean anything


@dataclass(frozen=True)
class Comparison:
    """`ratio`: time after / time before, with its 98 % interval; `p`: how likely such samples are were it not slower."""

    name: str
    before_ms: float
    after_ms: float
    p: float
    ratio: float
    low: float
    high: float

    @property
    def regression(self) -> bool:
        """Whether the workload is slower beyond noise."""
        return self.p < SIGNIFICANCE and self.ratio > TOLERATED and self.low > CERTAIN

    @property
    def suspicious(self) -> bool:
        """Whether it may be slower: more visits must tell."""
        return self.p < SUSPICIOUS_P and self.ratio > SUSPICIOUS_RATIO

    @property
    def verdict(self) -> str:
        """In a word or three."""
        if self.regression:
            return "SLOWER"
        return "faster" if self.high < 1 / CERTAIN and self.ratio < 1 / TOLERATED else "no change beyond noise"


def compare_timings(name: str, before: Timing, after: Timing) -> Comparison:
    """Raises InputError where either has fewer than `LEAST_VISITS` visits."""
    fewest = min(len(before.samples_ns), len(after.samples_ns))
    if fewest < LEAST_VISITS:
        raise InputError(f"'{name}' was visited {fewest} times; a comparison needs {LEAST_VISITS}: measure again")
    least = (min(before.samples_ns) / 1e6, min(after.samples_ns) / 1e6)
    views = (_compare(name, *least, _quiet_half(before, view), _quiet_half(after, view)) for view in (False, True))
    return min(views, key=lambda view: abs(math.log(view.ratio)))


def _quiet_half(timing: Timing, over_reference: bool) -> npt.NDArray[np.float64]:
    """Logarithms of the shorter half of the visits, by themselves or over the reference, in rising order."""
    values = np.array(timing.samples_ns, np.float64)
    if over_reference:
        values = values / np.array(timing.reference_ns)
    return np.asarray(np.log(np.sort(values)[: (len(values) + 1) // 2]), np.float64)


def _compare(
    name: str, before_ms: float, after_ms: float, first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> Comparison:
    from scipy.stats import mannwhitneyu

    p = float(mannwhitneyu(second, first, alternative="greater").pvalue)
    differences = np.sort((second[:, None] - first[None, :]).ravel())
    m, n = len(first), len(second)
    k = int(max(0.0, m * n / 2 - _Z * math.sqrt(m * n * (m + n + 1) / 12)))
    ratio = math.exp(float(np.median(second) - np.median(first)))
    low, high = (math.exp(float(differences[index])) for index in (k, m * n - 1 - k))
    # With few visits the ratio of the medians may lie outside the interval of the differences.
    return Comparison(name, before_ms, after_ms, p, ratio, min(low, ratio), max(high, ratio))


def compare_records(baseline: Record, record: Record) -> list[Comparison]:
    """All workloads that both records hold. Raises InputError where the records do not compare, or share none."""
    require_comparable(baseline, record)
    names = [name for name in record.timings if name in baseline.timings]
    if not names:
        raise InputError(
            f"the baseline holds none of these benchmarks (it has: {', '.join(baseline.timings)}); make it again"
        )
    return [compare_timings(name, baseline.timings[name], record.timings[name]) for name in names]
