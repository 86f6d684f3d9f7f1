"""How a command reaches a device: the host that a user names, as the words before the command."""

import re
from dataclasses import dataclass

from facenas.errors import InputError

_SSH = (
    *("ssh", "-T", "-x", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3", "--"),
)
_HOST = re.compile(r"(ssh://)?[A-Za-z0-9_.]([A-Za-z0-9_.@:%\[\]-]*[A-Za-z0-9_.\]])?/?")
_ADB = re.compile(r"adb(:[A-Za-z0-9_.:-]+)?")


@dataclass(frozen=True)
class Transport:
    """`prefix` and a shell command line, as one more word, run that on the device that the user calls `host`."""

    host: str
    prefix: tuple[str, ...]
    temporary: str = "${TMPDIR:-/tmp}"

    def __str__(self) -> str:
        return self.host


def transport_for(host: str) -> Transport:
    """The transport to a host. Raises InputError where it is none."""
    if host == "local":
        return Transport(host, ("sh", "-c"))
    if _ADB.fullmatch(host):
        serial = host.partition(":")[2]
        return Transport(host, ("adb", *(("-s", serial) if serial else ()), "shell", "-T"), "/data/local/tmp")
    if not _HOST.fullmatch(host):
        raise InputError(f"host '{host}' is none; write user@host, ssh://user@host:port, adb, adb:SERIAL or local")
    return Transport(host, (*_SSH, host))
