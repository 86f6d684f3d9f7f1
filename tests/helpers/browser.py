"""Headless Chromium for tests of pages; they skip where there is none."""

import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest

_OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --enable-logging=stderr --dump-dom"
)


def open_in_browser(page: Path, profile: Path, width_px: int = 1200) -> tuple[str, list[str]]:
    """The page's elements once it is open in a window of that width, and what the browser's console says."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no chromium on this machine: install it to test the pages in a browser")
    options = [*_OPTIONS.split(), f"--user-data-dir={profile}", f"--window-size={width_px},900"]
    done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, timeout=600, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def width_needed(page: Path, folder: Path, width_px: int) -> int:
    """How wide the page's contents are in a window of that width, in pixels.

    Chromium's narrowest window is 500 px, so the page, a copy without its policy, is shown in a frame.
    """
    content = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    measure = "document.title = this.contentDocument.documentElement.scrollWidth"
    frame = f'<iframe style="width:{width_px}px;height:900px;border:0" onload="{measure}" srcdoc="{escape(content)}">'
    (folder / "framed.html").write_text(f"<!doctype html><title></title>{frame}</iframe>", encoding="utf-8")
    shown, _ = open_in_browser(folder / "framed.html", folder / "profile")
    found = re.search(r"<title>(\d+)</title>", shown)
    assert found, "the page did not open"
    return int(found[1])
