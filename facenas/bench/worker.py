"""The process in which a build's workloads run; the parent visits them one at a time.

    python -m facenas.bench.worker FOLDER quick|full ONLY

A line of JSON comes in, a line goes out: first all names; then for `{"visit": name}` the least duration of a few runs
and that of the reference workload around them, in nanoseconds; for `{"figures": true}` the figures.

A duration leaves out the time that the process was ready to run but others had the core, where the system tells it
(Linux: /proc/thread-self/schedstat). A workload of 10 ms is all but surely interrupted on a busy core, and then even
the least of its runs says more of the neighbours than of the build; sleeping and waiting for files still counts. Where
the work is done by child processes, whose waiting is not known, it is their processor time.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from facenas.bench.folder import Workload, all_figures, all_workloads
from facenas.errors import FacenasError
from facenas.quiet import reference_workload

_SCHEDULED = Path("/proc/thread-self/schedstat")
VISIT_NS = 100_000_000
MAX_RUNS = 40
_REFERENCE_SHARE = 0.1  # of the visit's own time


def duration_ns(workload: Workload) -> int:
    """Of one run, without the time in which it waited for a core."""
    children_ns, waited_ns, own_ns = _children_ns(), _waited_ns(), time.process_time_ns()
    start = time.perf_counter_ns()
    workload()
    end = time.perf_counter_ns()
    own_ns, waited_ns, children_ns = (
        time.process_time_ns() - own_ns,
        _waited_ns() - waited_ns,
        _children_ns() - children_ns,
    )
    # The system may book a wait late, in the next run: no run takes less than its processor time.
    return own_ns + children_ns if children_ns else max(own_ns, end - start - waited_ns, 1)


def _waited_ns() -> int:
    """How long this thread was ready to run without a core, in all; 0 where the system does not say."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0


def _children_ns() -> int:
    """Processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def least_ns(workload: Workload, within_ns: float, most_runs: int = MAX_RUNS) -> int:
    """The least duration of runs for about `within_ns`, at least one."""
    least, spent, runs = 1 << 62, 0, 0
    while runs == 0 or (runs < most_runs and spent + least <= within_ns):
        taken = duration_ns(workload)
        least, spent, runs = min(least, taken), spent + taken, runs + 1
    return least


def visit(workload: Workload, reference: Workload) -> tuple[int, int]:
    """The least duration of the workload, and that of the reference right before or right after, the longer of the two, so
    that a visit during which the machine became busy shows it; in nanoseconds."""
    reference()  # caches and clock as they are when something runs
    before_ns = least_ns(reference, VISIT_NS * _REFERENCE_SHARE)
    if (first_ns := duration_ns(workload)) < VISIT_NS / 2:
        first_ns = min(first_ns, least_ns(workload, VISIT_NS - first_ns))
    after_ns = least_ns(reference, max(VISIT_NS, first_ns) * _REFERENCE_SHARE, most_runs=40)
    return first_ns, max(before_ns, after_ns)


def main() -> int:
    """Serve until the input ends."""
    # What a workload prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(value: object) -> None:
        print(json.dumps(value), file=answers, flush=True)

    folder, extent, only = sys.argv[1:4]
    quick = extent == "quick"
    try:
        workloads = all_workloads(Path(folder), quick, only)
        reference = reference_workload()
        for workload in (reference, *workloads.values()):
            workload()
    except FacenasError as error:
        answer({"error": str(error)})
        return error.exit_code
    answer(list(workloads))
    for line in sys.stdin:
        request = json.loads(line)
        if "visit" in request:
            answer(visit(workloads[request["visit"]], reference))
        else:
            answer(all_figures(Path(folder), quick))
    return 0


if __name__ == "__main__":
    sys.exit(main())
