"""Is the machine quiet enough to measure on, and who keeps it busy?

Other work only ever lengthens a run, and where runs are longer than the scheduler's slice no quantile takes that out. A
process that was ready to run and did not get its core knows it (Linux: /proc/PID/task/*/schedstat), whoever else took
the core. So a measurement that waited for more than `DISTURBED_SHARE` of its time is made again, after ever longer
pauses, and after the last of them given up in words that name the other work.

Another tenant of a virtual machine's processor, who shares the core or its caches, is not seen like that: then everything
takes 1.1 to 1.6 times as long, for seconds or minutes. A fixed companion beside every measurement shows it
(facenas/runtimes/companion.py): one whose companion took more than `QUIET` times the least was made in another state than
the quietest.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from facenas.cgroup import throttled_ns
from facenas.errors import BusyMachineError

DISTURBED_SHARE = 0.1
QUIET = 1.2  # beside other tenants few companions are below 1.3 times the least, on a quiet machine most below 1.15
PAUSES_S = (0.0, 2.0, 6.0, 20.0, 60.0)
"""Before a disturbed measurement is made again: bursts of other work last for seconds to a minute."""

_PROC = Path("/proc")
_WORTH_NAMING_CORES = 0.1
_MOMENT_S = 0.3  # of less, the system's clock ticks tell nothing


MAX_ERROR_PERCENT = 5.0
"""A measured table with a larger cross-validated error was spoilt by other work."""


def ran_and_waited_ns(process: int) -> tuple[int, int]:
    """How long the threads of a process ran, and how long they were ready to run without a core, in all.

    Zeros where the system does not say.
    """
    try:
        stats = [path.read_text(encoding="ascii") for path in (_PROC / str(process) / "task").glob("*/schedstat")]
    except OSError:  # a thread has ended meanwhile
        return 0, 0
    return sum(int(stat.split()[0]) for stat in stats), sum(int(stat.split()[1]) for stat in stats)


class Waiting:
    """For what share of the time a process waits for cores that others have, from the moment at which this is made.

    Threads of one process wait for each other, too: what it waited counts only as far as its cores did not run it. What
    it waited because its container's quota was used up does not count either.
    """

    def __init__(self, process: int, cores: int) -> None:
        self._process, self._cores = process, cores
        self._start_ns, self._before_ns = time.monotonic_ns(), ran_and_waited_ns(process)
        self._throttled_before_ns = throttled_ns()

    def share(self) -> float:
        """Between 0 and the number of cores."""
        wall_ns, (ran_ns, waited_ns) = time.monotonic_ns() - self._start_ns, ran_and_waited_ns(self._process)
        lost_ns = self._cores * wall_ns - (ran_ns - self._before_ns[0])
        others_ns = min(waited_ns - self._before_ns[1], lost_ns) - (throttled_ns() - self._throttled_before_ns)
        return max(0, others_ns) / max(wall_ns, 1)


def reference_workload() -> Callable[[], object]:
    """What every machine can run, whatever the build: interpreter and arithmetic in about equal parts, in little memory,
    as caches that others fill would slow it more than what it stands beside."""
    import numpy as np

    left, right = np.random.default_rng(0).standard_normal((2, 160, 160), np.float32)

    def run() -> object:
        for _ in range(5):
            left @ right
        return sum(index * index for index in range(8_000))

    return run


class OtherWork:
    """What other programs do from the moment at which this is made: neither this process nor those that it started."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        stats = _stats()
        self._start_ticks = _ticks_of_processes(stats)
        self._start_busy_ticks = _busy_ticks()
        self._start_own_ticks = _own_ticks(stats)

    def cores(self) -> float:
        """Cores that others keep busy, on average; on a virtual machine also what its host takes. 0.0 if not known."""
        # What a process of ours that was killed had done may be on no account any more: own ticks must not fall.
        own = max(0, _own_ticks(_stats()) - self._start_own_ticks)
        return max(0.0, self._cores(_busy_ticks() - self._start_busy_ticks - own))

    def words(self) -> str:
        """For example `1.9 cores of other work (python 4166, ffmpeg 712)`, over a moment at least."""
        time.sleep(max(0.0, self._start_s + _MOMENT_S - time.monotonic()))
        stats = _stats()
        own = _own_processes(stats)
        cores = {
            process: self._cores(ticks - self._start_ticks.get(process, 0))
            for process, ticks in _ticks_of_processes(stats).items()
            if process not in own
        }
        busiest = sorted(
            (process for process in cores if cores[process] > _WORTH_NAMING_CORES), key=lambda p: -cores[p]
        )
        named = ", ".join(f"{_name(process)} {process}" for process in busiest[:3])
        return f"{self.cores():.1f} cores of other work" + (f" ({named})" if named else "")

    def _cores(self, ticks: int) -> float:
        return ticks / os.sysconf("SC_CLK_TCK") / max(time.monotonic() - self._start_s, 1e-3)


class Patience:
    """Makes disturbed measurements again, after ever longer pauses; one that was not disturbed gives all pauses back.

    Where it does not judge, everything measured is good enough. `clock`: seconds, by which measuring ends.
    """

    def __init__(
        self,
        say: Callable[[str], None] = lambda _: None,
        pauses_s: Sequence[float] = PAUSES_S,
        sleep: Callable[[float], None] = time.sleep,
        *,
        judges: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.judges, self.clock = judges, clock
        self.say, self._pauses_s, self._sleep = say, pauses_s, sleep
        self._used = 0
        self._other_work = OtherWork()

    def accepts(self, error_percent: float) -> bool:
        """Whether a table may have such an error; a larger one only other work explains."""
        return not self.judges or error_percent <= MAX_ERROR_PERCENT

    def check(self, error_percent: float, what: str) -> None:
        """Raises BusyMachineError where a table came out with an error that it may not have."""
        if not self.accepts(error_percent):
            raise BusyMachineError(
                f"{what} came out with a mean error of {error_percent:.0f} %, more than {MAX_ERROR_PERCENT:g} %, and is not "
                f"kept: something else uses this machine's cores or memory (now {self._other_work.words()}), perhaps another "
                "tenant of its processor; wait until that is over, then give the same command again"
            )

    def again(self, waited_share: float) -> bool:
        """Whether a measurement that waited for this share of its time is to be made again; the pause is then over.

        Raises BusyMachineError where all pauses are used up.
        """
        if not self.judges or waited_share <= DISTURBED_SHARE:
            self._used, self._other_work = 0, OtherWork()
            return False
        if self._used == len(self._pauses_s):
            raise BusyMachineError(
                f"the machine is too busy to measure on: {self._other_work.words()}; end it or wait until it is over, "
                "then give the same command again"
            )
        pause_s = self._pauses_s[self._used]
        self._used += 1
        if pause_s:
            self.say(f"waiting {pause_s:g} s for a quiet machine: {self._other_work.words()}")
        self._sleep(pause_s)
        return True


def _busy_ticks() -> int:
    """Processor time of all programs, and on a virtual machine what its host took from it, of all cores together."""
    try:
        fields = (_PROC / "stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return 0
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, fields[1:9])
    return user + nice + system + interrupts + soft_interrupts + stolen


def _stats() -> dict[int, list[str]]:
    """Of every process that can be seen the fields of /proc/PID/stat that follow its name: state, parent ..."""
    found = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            found[int(folder.name)] = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
    return found


def _ticks_of_processes(stats: Mapping[int, Sequence[str]]) -> dict[int, int]:
    return {process: int(fields[11]) + int(fields[12]) for process, fields in stats.items()}


def _own_processes(stats: Mapping[int, Sequence[str]]) -> set[int]:
    """This process and all that it has started, directly or not."""
    own = {os.getpid()}
    while found := {process for process, fields in stats.items() if int(fields[1]) in own} - own:
        own |= found
    return own


def _own_ticks(stats: Mapping[int, Sequence[str]]) -> int:
    """Of this process and those that it started, ended ones (which count as their parent's) included."""
    return sum(int(ticks) for process in _own_processes(stats) & set(stats) for ticks in stats[process][11:15])


def _name(process: int) -> str:
    try:
        return (_PROC / str(process) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "process"
