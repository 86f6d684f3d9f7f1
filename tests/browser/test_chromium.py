import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.web import a_chromium, leftovers_of

from facenas.browser.chromium import BrowserGoneError, Chromium, PageError, find_chromium, version_of
from facenas.errors import InputError, MissingPackageError


@pytest.fixture
def browser() -> Iterator[Chromium]:
    with Chromium(a_chromium()) as started:
        yield started


def nothing_is_left_of(browser: Chromium) -> bool:
    """Soon: what was killed takes a moment to go."""
    deadline_s = time.monotonic() + 20
    while leftovers_of(browser) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    return not leftovers_of(browser)


def test_what_a_page_says_comes_back(browser: Chromium) -> None:
    assert browser.evaluate("Promise.resolve([1, 'two'])") == [1, "two"]
    browser.evaluate("console.log('three', 4)")
    browser.evaluate("1")
    assert browser.console == ["three 4"]
    with pytest.raises(PageError, match="not a good one"):
        browser.evaluate("(() => { throw new Error('not a good one') })()")
    with pytest.raises(PageError, match="cannot be opened"):
        browser.open("http://127.0.0.1:1/")


def test_nothing_is_left_when_it_is_ended(browser: Chromium) -> None:
    assert leftovers_of(browser)
    browser.end()
    assert nothing_is_left_of(browser)
    browser.end()
    with pytest.raises(BrowserGoneError):
        browser.evaluate("1")


@pytest.mark.slow
def test_twenty_starts_and_stops_leave_no_process_and_no_file() -> None:
    executable = a_chromium()
    for _ in range(20):
        with Chromium(executable) as browser:
            assert browser.evaluate("1 + 1") == 2
        assert nothing_is_left_of(browser)


def test_a_page_that_hangs_is_given_up_and_ended(browser: Chromium) -> None:
    with pytest.raises(BrowserGoneError, match="did not answer within 1 s") as caught:
        browser.evaluate("(() => { for (;;) {} })()", 1.0)
    assert caught.value.hung
    assert nothing_is_left_of(browser)


def test_a_browser_that_is_killed_is_noticed(browser: Chromium) -> None:
    os.killpg(browser.process, signal.SIGKILL)
    with pytest.raises(BrowserGoneError) as caught:
        browser.evaluate("new Promise(() => {})", 30.0)
    assert not caught.value.hung
    assert nothing_is_left_of(browser)


def test_a_browser_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = """
import sys, time
from facenas.browser.chromium import Chromium, find_chromium
browser = Chromium(find_chromium())
print(browser.folder, flush=True)
time.sleep(600)
"""
    a_chromium()
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        folder = Path(starter.stdout.readline().strip())
        assert folder.is_dir()
        starter.kill()
    deadline_s = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not folder.exists()


def test_where_there_is_no_browser_the_cure_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FACENAS_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="FACENAS_CHROMIUM=PATH"):
        find_chromium()
    monkeypatch.setenv("FACENAS_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(InputError, match="which is no program"):
        find_chromium()


def test_a_program_that_is_no_browser_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match="does not start"):
        Chromium(program)
    with pytest.raises(InputError, match="does not run"):
        version_of(program)
