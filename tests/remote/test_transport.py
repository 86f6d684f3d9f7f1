from pathlib import Path

import pytest
from helpers.far_devices import remote
from helpers.ssh_server import SshServer

from facenas.devices.host import transport_for
from facenas.errors import DeviceError, InputError, MissingPackageError


def test_a_host_that_cannot_be_reached_or_trusted_is_said(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words() -> str:
        with pytest.raises(DeviceError) as caught, remote("127.0.0.1") as agent:
            agent.connect()
        return str(caught.value)

    (tmp_path / "known_hosts").write_text("")
    assert "host key of 127.0.0.1 is not known" in words()
    (tmp_path / "known_hosts").write_text(server.known_hosts())
    (tmp_path / "id").rename(tmp_path / "hidden")
    assert "ssh-copy-id" in words()
    script = (tmp_path / "bin/ssh").read_text()
    (tmp_path / "bin/ssh").write_text(script.replace(f"-p {server.port}", "-p 1"))
    assert "cannot be reached" in words()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match="OpenSSH"), remote("127.0.0.1") as agent:
        agent.connect()


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "user@", "a;b", "$(x)", "adb:"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="write user@host"):
        transport_for(host)


def test_adb_is_asked_for_its_shell() -> None:
    assert transport_for("adb:R58").prefix == ("adb", "-s", "R58", "shell", "-T")
