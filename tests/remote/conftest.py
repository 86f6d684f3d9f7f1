from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.ssh_server import SshServer, ssh_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """An SSH server on loopback that the system's `ssh` reaches as 127.0.0.1."""
    with ssh_server(tmp_path, monkeypatch) as running:
        yield running
