"""The gate: a workload that looks slower is measured again before it is called slower.

Noise that survives the comparison's reference comes in bursts of seconds to minutes, so a false suspicion seldom
repeats: up to `LOOKS` times the suspects are visited anew, all their visits are put together, and a workload stays
under suspicion only while it looks slower on all of them. The verdict is on all visits, and so is the record. So a slow
minute is outvoted, and a true regression, there each time, becomes the more certain. Where the machine stays busy, or was
while the baseline was made, there is no verdict (`BenchResult.not_judged`), and that is said.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from facenas.bench.builds import Builds, tree_of_checkout
from facenas.bench.record import Record, new_record, require_comparable
from facenas.bench.regression import MIN_VISITS, Comparison, compare_records, compare_timings
from facenas.progress import Progress

LOOKS = 3


@dataclass(frozen=True)
class Extent:
    """How much is measured: at most `visits` to a workload, within about `seconds_each`."""

    visits: int
    seconds_each: float


QUICK = Extent(visits=20, seconds_each=4.0)
FULL = Extent(visits=40, seconds_each=15.0)


@dataclass(frozen=True)
class BenchResult:
    """A record, and where there was something to compare with, the comparisons and how often suspects were looked at."""

    record: Record
    against: str = ""
    comparisons: tuple[Comparison, ...] = ()
    looks: Mapping[str, int] | None = None

    @property
    def passed(self) -> bool | None:
        """Whether no workload is slower beyond noise; None where that cannot be told, or there is nothing to compare with."""
        if any(comparison.regression for comparison in self.comparisons):
            return False
        return None if self.not_judged or not self.against else True

    @property
    def not_judged(self) -> str:
        """Why there is no verdict on some workload, and what to do; empty where there is one on each."""
        undecided = [comparison for comparison in self.comparisons if not comparison.decided]
        before = [comparison.name for comparison in undecided if comparison.quiet_before < MIN_VISITS]
        if before:
            words = "the machine was busier when the baseline was made, so there is no verdict on"
            return f"{words}: {', '.join(before)}; make it again"
        if undecided:
            names = ", ".join(comparison.name for comparison in undecided)
            return f"the machine is busier than for the baseline, so there is no verdict on: {names}; try again later"
        return ""


def run_bench(
    folder: Path,
    *,
    quick: bool,
    only: str,
    progress: Progress,
    baseline: Record | None = None,
    checkout: Path | None = None,
) -> BenchResult:
    """Measure this build, against a `baseline` record or, in turns, against the build of another `checkout`.

    Raises InputError where the baseline does not compare with this machine or extent.
    """
    extent = QUICK if quick else FULL
    if baseline is not None:  # minutes would be lost if that came out in the end
        require_comparable(baseline, new_record({}, {}, quick, folder))
    with ExitStack() as stack:
        trees = [None] if checkout is None else [None, stack.enter_context(tree_of_checkout(checkout))]
        builds = stack.enter_context(Builds(trees, folder, quick, only))
        here, *other = builds.measure(extent.visits, extent.seconds_each, progress)
        record = new_record(here, builds.figures(), quick, folder)
        if baseline is not None:
            compare_records(baseline, record)
            against, before = f"commit {baseline.commit} of {baseline.date}", dict(baseline.timings)
        elif other:
            against, before = f"the checkout {checkout}, in turns", other[0]
        else:
            return BenchResult(record)

        def compare(name: str) -> Comparison:
            return compare_timings(name, before[name], here[name], in_turns=checkout is not None)

        comparisons = {name: compare(name) for name in here if name in before}
        looks = dict.fromkeys(comparisons, 1)
        for look in range(2, LOOKS + 1):
            names = [name for name, comparison in comparisons.items() if comparison.suspicious]
            if not names:
                break
            again, *other = builds.measure(extent.visits, extent.seconds_each, progress, names, seed=look)
            for name in names:
                here[name] += again[name]
                if other:
                    before[name] += other[0][name]
                comparisons[name], looks[name] = compare(name), look
    return BenchResult(replace(record, timings=here), against, tuple(comparisons.values()), looks)
