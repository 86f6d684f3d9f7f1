"""What tests of browsers need on this machine; they skip, with the reason, where it is absent."""

from pathlib import Path

import pytest

from facenas.browser.chromium import Chromium, find_chromium
from facenas.devices.targets import resolve_target
from facenas.errors import FacenasError
from facenas.runtimes.runtime import why_unavailable


def a_chromium() -> Path:
    try:
        return find_chromium()
    except FacenasError as error:
        pytest.skip(str(error))


def require_web() -> None:
    """A Chromium and the npm package onnxruntime-web."""
    reason = why_unavailable(resolve_target("web"))
    if reason is not None:
        pytest.skip(reason)


def leftovers_of(browser: Chromium) -> list[str]:
    """Processes and files that a browser has left."""
    folder = str(browser.folder)
    left = [folder] if browser.folder.exists() else []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if folder.encode() in words:
            left.append(words.replace(b"\0", b" ").decode(errors="replace")[:200])
    return left
