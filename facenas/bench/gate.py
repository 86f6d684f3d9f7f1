"""The gate: a workload that looks slower is measured again before it is called slower.

Noise that survives the comparison's reference comes in bursts of seconds to minutes, so a false suspicion seldom
repeats: a workload is a regression only where every one of `LOOKS` separate measurements says so. A true regression
passes all of them, as it is there each time.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from facenas.bench.comparison import Comparison, compare_records, compare_timings, suspects
from facenas.bench.record import Record, Timing, new_record, require_comparable
from facenas.bench.session import Builds, Report, tree_of_checkout

LOOKS = 3


@dataclass(frozen=True)
class Extent:
    """How much is measured: at most `visits` to a workload, within about `seconds_each`."""

    visits: int
    seconds_each: float


QUICK = Extent(visits=12, seconds_each=3.0)
FULL = Extent(visits=40, seconds_each=15.0)


@dataclass(frozen=True)
class Outcome:
    """A record, and where there was something to compare with, the comparisons and how often suspects were looked at."""

    record: Record
    against: str = ""
    comparisons: tuple[Comparison, ...] = ()
    looks: Mapping[str, int] | None = None

    @property
    def passed(self) -> bool:
        """Whether no workload is slower beyond noise."""
        return not suspects(self.comparisons)


def run_bench(
    folder: Path,
    *,
    quick: bool,
    only: str,
    report: Report,
    baseline: Record | None = None,
    checkout: Path | None = None,
) -> Outcome:
    """Measure this build, against a `baseline` record or, in turns, against the build of another `checkout`.

    Raises InputError where the baseline does not compare with this machine or extent.
    """
    extent = QUICK if quick else FULL
    if baseline is not None:  # minutes would be lost if that came out in the end
        require_comparable(baseline, new_record({}, {}, quick, folder))
    with ExitStack() as stack:
        trees = [None] if checkout is None else [None, stack.enter_context(tree_of_checkout(checkout))]
        builds = stack.enter_context(Builds(trees, folder, quick, only))
        here, *other = builds.measure(extent.visits, extent.seconds_each, report)
        record = new_record(here, builds.figures(), quick, folder)
        if baseline is None and not other:
            return Outcome(record)
        if baseline is not None:
            comparisons, before = compare_records(baseline, record), baseline.timings
            against = f"commit {baseline.commit} of {baseline.date}"
        else:
            comparisons = [compare_timings(name, other[0][name], here[name]) for name in builds.names]
            before, against = None, f"the checkout {checkout}, in turns"
        comparisons, looks = _look_again(builds, comparisons, before, extent, report)
    return Outcome(record, against, tuple(comparisons), looks)


def _look_again(
    builds: Builds,
    comparisons: Sequence[Comparison],
    before: Mapping[str, Timing] | None,
    extent: Extent,
    report: Report,
) -> tuple[list[Comparison], dict[str, int]]:
    """Measure suspects anew, up to `LOOKS` times in all; the last measurement counts. Without `before`, both builds."""
    latest = {comparison.name: comparison for comparison in comparisons}
    looks = dict.fromkeys(latest, 1)
    for look in range(2, LOOKS + 1):
        names = suspects(list(latest.values()))
        if not names:
            break
        here, *other = builds.measure(extent.visits, extent.seconds_each, report, names, seed=look)
        for name in names:
            first = before[name] if before is not None else other[0][name]
            latest[name], looks[name] = compare_timings(name, first, here[name]), look
    return list(latest.values()), looks
