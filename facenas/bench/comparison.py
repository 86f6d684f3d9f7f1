"""Is a workload slower than it was? First whether there is a difference at all, then how large it is.

Every visit i to a workload gave the least time x_i of a few runs and the least time r_i of a fixed reference workload
run right before and after; y_i = log(x_i / r_i). What slows the whole machine (other tenants, a lower clock) cancels
in y as far as it slows both alike. Between builds A (before) and B (after):

1. Mann-Whitney's test, one-sided: are the y of B larger? It asks nothing of the noise's distribution.
2. The ratio exp(median y_B - median y_A), with a 98 % interval from all differences y_B - y_A, the one that belongs to
   that test (Hodges and Lehmann 1963): the k-th least and k-th greatest, k = m n / 2 - z sqrt(m n (m + n + 1) / 12).

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
TOLERATED = 1.10
CERTAIN = 1.03
SUSPICIOUS_P, SUSPICIOUS_RATIO = 0.05, 1.06
_Z = 2.326  # of a 98 % interval: both ends at SIGNIFICANCE
LEAST_VISITS = 5  # below, no arrangement of the samples is rare enough to mean anything


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
    from scipy.stats import mannwhitneyu

    fewest = min(len(before.samples_ns), len(after.samples_ns))
    if fewest < LEAST_VISITS:
        raise InputError(f"'{name}' was visited {fewest} times; a comparison needs {LEAST_VISITS}: measure again")
    first, second = _logs(before), _logs(after)
    p = float(mannwhitneyu(second, first, alternative="greater").pvalue)
    differences = np.sort((second[:, None] - first[None, :]).ravel())
    m, n = len(first), len(second)
    k = int(max(0.0, m * n / 2 - _Z * math.sqrt(m * n * (m + n + 1) / 12)))
    ratio = math.exp(float(np.median(second) - np.median(first)))
    low, high = (math.exp(float(differences[index])) for index in (k, m * n - 1 - k))
    least = (min(before.samples_ns) / 1e6, min(after.samples_ns) / 1e6)
    # With few visits the median of the samples may lie outside the interval of the differences.
    return Comparison(name, *least, p, ratio, min(low, ratio), max(high, ratio))


def _logs(timing: Timing) -> npt.NDArray[np.float64]:
    return np.asarray(np.log(np.array(timing.samples_ns) / np.array(timing.reference_ns)), np.float64)


def compare_records(baseline: Record, record: Record) -> list[Comparison]:
    """All workloads that both records hold. Raises InputError where the records do not compare, or share none."""
    require_comparable(baseline, record)
    names = [name for name in record.timings if name in baseline.timings]
    if not names:
        raise InputError(
            f"the baseline holds none of these benchmarks (it has: {', '.join(baseline.timings)}); make it again"
        )
    return [compare_timings(name, baseline.timings[name], record.timings[name]) for name in names]
