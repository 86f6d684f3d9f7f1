"""Is a workload slower than it was? First whether there is a difference at all, then how large it is.

Every visit i to a workload gave the least time x_i of a few runs, and the time r_i of a fixed reference workload run right
before and after. A machine whose other tenants come and go has states: where another thread shares the core, everything
takes 1.3 to 1.6 times as long, for seconds or minutes, and no ratio to a reference takes that out. So only *quiet* visits
count, whose r_i is within `QUIET` of the least of both sessions. Where a session has fewer than `MIN_VISITS` of them, it
was in another state than the one it is compared with, and nothing is said of the build: `decided` is False. Only two
builds that were visited in turns were in the same states, and then compare by all visits.

There are two views of a visit, log x_i and log(x_i / r_i): what slows the whole machine a little (a lower clock) is no
change in the second; what slows the reference alone (other tenants' cache) is none in the first. Other work only ever
lengthens a run, so of each session and view only the lower half of the visits counts. Between the halves A (before) and
B (after):

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

from facenas.arrays import BoolArray, Float64Array
from facenas.bench.record import Record, Timing, require_comparable
from facenas.errors import InputError

SIGNIFICANCE = 0.01
TOLERATED = 1.08
CERTAIN = 1.03
QUIET = 1.12  # times the least reference; on a quiet machine most are within 1.05, on a busy one few below 1.15
SUSPICIOUS_P, SUSPICIOUS_RATIO = 0.05, 1.05
_Z = 2.326  # of a 98 % interval: both ends at SIGNIFICANCE
MIN_VISITS = 10  # five in a half; below, no arrangement of the samples is rare enough to mean anything


@dataclass(frozen=True)
class Comparison:
    """`ratio`: time after / time before, with its 98 % interval; `p`: how likely such samples are were it not slower.

    `quiet_before`, `quiet_after`: visits of each session while the machine was as quiet as it was at its best; `decided`:
    whether that is enough to say anything of the build.
    """

    name: str
    before_ms: float
    after_ms: float
    p: float
    ratio: float
    low: float
    high: float
    quiet_before: int
    quiet_after: int
    decided: bool

    @property
    def regression(self) -> bool:
        """Whether the workload is slower beyond noise."""
        return self.decided and self.p < SIGNIFICANCE and self.ratio > TOLERATED and self.low > CERTAIN

    @property
    def suspicious(self) -> bool:
        """Whether it may be slower, or cannot be told as the machine was busy: more visits must tell."""
        if not self.decided:
            return self.quiet_before >= MIN_VISITS
        return self.p < SUSPICIOUS_P and self.ratio > SUSPICIOUS_RATIO

    @property
    def verdict(self) -> str:
        """In a word or three."""
        if not self.decided:
            return "not judged"
        if self.regression:
            return "SLOWER"
        return "faster" if self.high < 1 / CERTAIN and self.ratio < 1 / TOLERATED else "no change beyond noise"


def compare_timings(name: str, before: Timing, after: Timing, *, in_turns: bool = False) -> Comparison:
    """`in_turns`: both were taken in one session. Raises InputError where either has fewer than `MIN_VISITS` visits."""
    fewest = min(len(before.samples_ns), len(after.samples_ns))
    if fewest < MIN_VISITS:
        raise InputError(f"'{name}' was visited {fewest} times; a comparison needs {MIN_VISITS}: measure again")
    least_reference_ns = min(*before.reference_ns, *after.reference_ns)
    first, second = (_visits(timing) for timing in (before, after))
    quiet = [visits[is_quiet(visits[:, 1], least_reference_ns)] for visits in (first, second)]
    enough = min(map(len, quiet)) >= MIN_VISITS
    if enough:
        first, second = quiet
    nearest = min(
        (_ratio_of_medians(_quick_half(first, view), _quick_half(second, view)) for view in (False, True)),
        key=lambda view: abs(math.log(view.ratio)),
    )
    return Comparison(
        name,
        min(before.samples_ns) / 1e6,
        min(after.samples_ns) / 1e6,
        nearest.p,
        nearest.ratio,
        nearest.low,
        nearest.high,
        len(quiet[0]),
        len(quiet[1]),
        enough or in_turns,
    )


def is_quiet(reference_ns: npt.ArrayLike, least_reference_ns: float) -> BoolArray:
    """Which visits were made while the machine was about as quiet as when the reference took its least."""
    return np.asarray(reference_ns) <= QUIET * least_reference_ns


def _visits(timing: Timing) -> Float64Array:
    """One row a visit: its time, the reference's."""
    return np.array([timing.samples_ns, timing.reference_ns], np.float64).T


def _quick_half(visits: Float64Array, over_reference: bool) -> Float64Array:
    """Logarithms of the shorter half of the visits, by themselves or over the reference, in rising order."""
    values = visits[:, 0] / visits[:, 1] if over_reference else visits[:, 0]
    return np.asarray(np.log(np.sort(values)[: (len(values) + 1) // 2]), np.float64)


@dataclass(frozen=True)
class _Ratio:
    p: float
    ratio: float
    low: float
    high: float


def _ratio_of_medians(first: Float64Array, second: Float64Array) -> _Ratio:
    from scipy.stats import mannwhitneyu

    p = float(mannwhitneyu(second, first, alternative="greater").pvalue)
    differences = np.sort((second[:, None] - first[None, :]).ravel())
    m, n = len(first), len(second)
    k = int(max(0.0, m * n / 2 - _Z * math.sqrt(m * n * (m + n + 1) / 12)))
    ratio = math.exp(float(np.median(second) - np.median(first)))
    low, high = (math.exp(float(differences[index])) for index in (k, m * n - 1 - k))
    # With few visits the ratio of the medians may lie outside the interval of the differences.
    return _Ratio(p, ratio, min(low, ratio), max(high, ratio))


def compare_records(baseline: Record, record: Record) -> list[Comparison]:
    """All workloads that both records hold. Raises InputError where the records do not compare, or share none."""
    require_comparable(baseline, record)
    names = [name for name in record.timings if name in baseline.timings]
    if not names:
        raise InputError(
            f"the baseline holds none of these benchmarks (it has: {', '.join(baseline.timings)}); make it again"
        )
    return [compare_timings(name, baseline.timings[name], record.timings[name]) for name in names]
