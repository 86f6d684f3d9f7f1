"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared_dir() -> Path:
    """The folder of photos, golden values and baseline models beside the checkout; the test skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("no shared/ folder with photos and baseline models beside the checkout")
    return SHARED
