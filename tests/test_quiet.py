"""Other work on the machine is noticed, named and waited for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facenas.errors import BusyMachineError
from facenas.quiet import PAUSES_S, OtherWork, Patience, Waiting, ran_and_waited_ns

_BUSY = "while True: pass"


def test_pauses_become_longer_and_start_anew_after_a_quiet_measurement() -> None:
    slept: list[float] = []
    patience = Patience(sleep=slept.append)
    shares = (0.5, 0.5, 0.0, 0.5)
    assert [patience.again(share) for share in shares] == [True, True, False, True]
    assert slept == [PAUSES_S[0], PAUSES_S[1], PAUSES_S[0]]


def test_after_the_last_pause_it_is_refused_with_the_cure() -> None:
    patience = Patience(sleep=lambda seconds: None)
    for _ in PAUSES_S:
        assert patience.again(0.5)
    with pytest.raises(BusyMachineError, match="then give the same command again"):
        patience.again(0.5)


def test_without_judging_everything_is_good_enough() -> None:
    patience = Patience(judges=False)
    assert not patience.again(0.9)
    patience.check(80.0, "the profile")


def test_a_large_error_is_refused() -> None:
    Patience().check(4.9, "the profile")
    with pytest.raises(BusyMachineError, match="the profile came out with a mean error of 33 %"):
        Patience().check(33.2, "the profile")


@pytest.mark.skipif(not ran_and_waited_ns(os.getpid())[0], reason="this system does not tell how long a process waited")
def test_a_process_that_shares_its_core_waits_for_it() -> None:
    """Two busy loops on one core: each waits for about half of the time, however fast the machine is."""
    core = max(os.sched_getaffinity(0))
    loops = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(2)]
    try:
        for loop in loops:
            os.sched_setaffinity(loop.pid, {core})
        waiting = Waiting(loops[0].pid, cores=1)
        before = ran_and_waited_ns(loops[0].pid)[1]
        while ran_and_waited_ns(loops[0].pid)[1] - before < 2e8:
            time.sleep(0.01)
        assert waiting.share() > 0.1
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_a_process_that_sleeps_waits_for_nobody() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        waiting = Waiting(sleeper.pid, cores=1)
        time.sleep(0.3)
        assert waiting.share() <= 1.0  # it may wait while it starts, never for longer than there was
    finally:
        sleeper.kill()
        sleeper.wait()


def test_what_this_process_started_is_no_other_work() -> None:
    """A child's processor time is its parent's; other programs may run meanwhile, so only the names are compared."""
    work = OtherWork()
    child = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        while ran_and_waited_ns(child.pid)[0] < 3e8 and ran_and_waited_ns(child.pid) != (0, 0):
            time.sleep(0.01)
        assert f" {child.pid}" not in work.words()
        assert work.cores() >= 0.0
        assert "cores of other work" in work.words()
    finally:
        child.kill()
        child.wait()


def test_other_work_is_never_more_than_there_are_cores() -> None:
    """Asked at once, too; ticks of 10 ms over less than that would be any number."""
    cores = float(OtherWork().words().split()[0])
    assert cores <= 1.1 * (os.cpu_count() or 1)


def test_what_a_killed_process_of_ours_had_done_is_no_other_work() -> None:
    """A browser's renderers are killed with it, so nobody is told their time."""
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_BUSY!r}])"],
        start_new_session=True,
    )
    tasks = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while not (busy := tasks.read_text().split()) or ran_and_waited_ns(int(busy[0]))[0] < 2e9:
        time.sleep(0.01)
    work = OtherWork()
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    cores = float(work.words().split()[0])
    assert cores <= 1.1 * (os.cpu_count() or 1)
