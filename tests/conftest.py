"""Fixtures shared by all tests."""

import atexit
import os
import shutil
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

# Before torch is imported. On cores that others use, waiting for a second thread takes longer than these nets.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests take tables as they are, but for those that are about measuring, and leave the user's own calibrations alone.
os.environ["FACENAS_CALIBRATE"] = "no"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="facenas-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
# A shell that starts the suite in the background has it ignore Ctrl-C, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Scripts that tests start import `helpers`, too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
# Machines are shared and slow at times, so time is no verdict; and what passes once, passes again.
if find_spec("hypothesis") is not None:  # machines that are lent have pytest alone; benchmarks/on_a_gpu.py
    from hypothesis import settings

    settings.register_profile("repeatable", deadline=None, derandomize=True)
    settings.load_profile("repeatable")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared_dir() -> Path:
    """The folder of photos, golden values and baseline models beside the checkout; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no shared/ folder with photos and baseline models beside the checkout")
    return SHARED
