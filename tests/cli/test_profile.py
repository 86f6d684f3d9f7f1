"""Profiling on the command line: what goes wrong is one line, what was measured is kept and not measured twice."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.command_line import Outcome
from helpers.made_up_device import MadeUpDevice
from helpers.tiny_tables import TINY_INPUT, tiny_space

from facenas.devices.targets import resolve_target
from facenas.latency.table import WHOLE_NETWORKS, load_table
from facenas.runtimes.runtime import why_unavailable

Run = Callable[..., Outcome]
Words = tuple[str | Path, ...]


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """As in a terminal, wherever the suite was started and whatever ran before: Ctrl-C interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def device(tmp_path: Path) -> MadeUpDevice:
    return MadeUpDevice(tmp_path / "device")


@pytest.fixture
def space_words(tmp_path: Path) -> Words:
    """What of the tiny space is profiled, into `t.json`."""
    space = {
        "name": "tiny",
        "stages": [[str(stage) for stage in stages] for stages in tiny_space().stages],
        "necks_and_heads": {str(least): str(design) for least, design in tiny_space().necks_and_heads},
    }
    path = tmp_path / "space.json"
    path.write_text(json.dumps(space))
    return "--space", path, "--input", str(TINY_INPUT), "--out", tmp_path / "t.json"


@pytest.fixture
def words(device: MadeUpDevice, space_words: Words) -> Words:
    """The arguments of a quick profile of the device."""
    return "profile", *device.arguments, *space_words, "--seconds", "0"


def one_line(outcome: Outcome) -> str:
    """The one line of facenas on stderr, beside progress."""
    assert "Traceback" not in outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("facenas: ")]
    return line


def networks(visits: list[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    return Counter(visit[1:] for visit in visits)


def test_a_runtime_that_crashes_on_one_carrier_keeps_the_rest(
    facenas: Run, device: MadeUpDevice, words: Words, tmp_path: Path
) -> None:
    device.has_accident(
        """
refused = FOLDER / "refused"
if visit == 3 and kind == "layers" and not refused.exists():
    refused.write_text(digest)
if refused.exists() and refused.read_text() == digest:
    os.kill(os.getpid(), signal.SIGSEGV)
"""
    )
    outcome = facenas(*words, "--json")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert result["operators"] > 10
    (failure,) = result["failures"]
    assert "SIGSEGV" in failure
    assert f"kept out: {failure}" in outcome.err
    assert load_table(tmp_path / "t.json").failures == (failure,)


def test_a_quick_profile_needs_no_counters(facenas: Run, space_words: Words, tmp_path: Path) -> None:
    if reason := why_unavailable(resolve_target("cpu-litert")):
        pytest.skip(reason)
    words = ("profile", "--device", "cpu-litert", "--quick", "--even-if-busy", "--seconds", "0", "--json")
    outcome = facenas(*words, *space_words)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["failures"] == []
    assert load_table(tmp_path / "t.json").method == WHOLE_NETWORKS


def test_ctrl_c_is_one_line_and_resume_measures_nothing_twice(
    facenas: Run, device: MadeUpDevice, words: Words, tmp_path: Path
) -> None:
    assert facenas(*words).code == 0
    undisturbed = len(device.visits())
    (tmp_path / "t.json").unlink()
    device.has_accident("time.sleep(0.1)")
    stopped = profile_until(signal.SIGINT, words, tmp_path / "t.json.journal", 8)
    assert stopped.returncode == 130
    assert "--resume" in stopped.stderr.splitlines()[-1]
    assert "Traceback" not in stopped.stderr
    assert not (tmp_path / "t.json").exists()
    device.has_no_accident()
    refused = facenas(*words)
    assert refused.code == 2
    assert "add --resume to continue it" in one_line(refused)
    journalled = (tmp_path / "t.json.journal").read_bytes().count(b"\n") - 1
    earlier = len(device.visits())
    assert facenas(*words, "--resume").code == 0
    assert 0 < len(device.visits()) - earlier == undisturbed - journalled
    assert load_table(tmp_path / "t.json").operators


def test_the_page_of_a_table_shows_its_calibration_networks(facenas: Run, words: Words, tmp_path: Path) -> None:
    assert facenas(*words).code == 0
    outcome = facenas("report", "table", tmp_path / "t.json", "--out", tmp_path / "page.html", "--json")
    assert outcome.code == 0, outcome.err
    table = load_table(tmp_path / "t.json")
    figures = json.loads(outcome.out)
    assert figures["networks"] == table.calibration.networks >= 3
    assert (figures["operators"], figures["provenance"]) == (len(table.operators), "measured")
    assert f"{figures['networks']} whole networks from" in (tmp_path / "page.html").read_text()
    shipped = facenas("report", "table", "cpu", "--out", tmp_path / "cpu.html")
    assert (shipped.code, shipped.out.strip()) == (0, str(tmp_path / "cpu.html"))
    assert "no latency table at" in one_line(facenas("report", "table", tmp_path / "none.json"))
    assert "toaster" in one_line(facenas("report", "table", "toaster"))


def test_a_full_disk_is_one_line_and_keeps_what_was_measured(
    facenas: Run, device: MadeUpDevice, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(1_000_000))

    def full(descriptor: int) -> None:
        if next(calls) >= 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        outcome = facenas(*words)
    assert outcome.code == 2
    line = one_line(outcome)
    assert "No space left on device" in line
    assert "--resume" in line
    assert not (tmp_path / "t.json").exists()
    measured = len(device.visits())
    assert facenas(*words, "--resume").code == 0
    assert len(device.visits()) > measured
    assert load_table(tmp_path / "t.json").operators


def profile_until(signal_number: int, words: Words, journal: Path, lines: int) -> subprocess.CompletedProcess[str]:
    """`facenas` in a process of its own that gets the signal when its journal has so many lines."""
    command = [sys.executable, "-m", "facenas.cli.main", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < lines):
        time.sleep(0.02)
    process.send_signal(signal_number)
    _, said = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, "", said)


def test_kill_9_then_resume_measures_nothing_twice(
    facenas: Run, device: MadeUpDevice, words: Words, tmp_path: Path
) -> None:
    assert facenas(*words).code == 0
    undisturbed = len(device.visits())
    (tmp_path / "t.json").unlink()
    device.has_accident("time.sleep(0.1)")
    journal = tmp_path / "t.json.journal"
    assert profile_until(signal.SIGKILL, words, journal, 8).returncode == -signal.SIGKILL
    done = {(line["round"], line["network"]) for line in map(json.loads, journal.read_text().splitlines()[1:-1])}
    assert len(done) >= 6
    assert not (tmp_path / "t.json").exists()
    device.has_no_accident()
    earlier = {visit[0] for visit in device.visits()}
    journalled = journal.read_bytes().count(b"\n") - 1
    assert facenas(*words, "--resume").code == 0
    resumed = [visit for visit in device.visits() if visit[0] not in earlier]
    assert 0 < len(resumed) == undisturbed - journalled
    assert load_table(tmp_path / "t.json").operators


def test_a_profile_of_this_machine_stops_at_ctrl_c_and_keeps_what_it_measured(
    space_words: Words, tmp_path: Path
) -> None:
    journal = tmp_path / "t.json.journal"
    words = ("profile", "--device", "cpu", *space_words, "--even-if-busy")
    stopped = profile_until(signal.SIGINT, words, journal, 4)
    assert stopped.returncode == 130
    assert "--resume" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert len(journal.read_text().splitlines()) >= 4
    assert not (tmp_path / "t.json").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--device", "toaster"), "toaster"),
        (("--device", "cpu", "--space", "nowhere"), "no search space 'nowhere'"),
        (("--device", "cpu", "--input", "640"), "640"),
        (("--device", "cpu", "--also", "no-such-net"), "no-such-net"),
        (("--device", "cpu-999threads"), "threads are more than"),
    ],
)
def test_unusable_words(
    facenas: Run,
    arguments: tuple[str, ...],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = facenas("profile", *arguments)
    assert outcome.code == 2
    assert expected in one_line(outcome)
    assert not list(tmp_path.iterdir())
