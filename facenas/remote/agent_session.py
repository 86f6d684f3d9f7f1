"""A session: the agent copied to a device, checked there, run, asked, and removed.

One command does it all, so that one connection suffices. A few lines of Python on the device read the agent, a zip
file of the folder `on_device`, from the pipe, write it to a fresh temporary folder, and compare the SHA-256 of what then
lies on the disk. The shell that runs the agent outlives it, removes the folder and says how the agent ended,
also where the connection is gone.
"""

import hashlib
import importlib.resources
import io
import re
import shlex
import signal
import time
import zipfile
from functools import cache
from typing import Any

from facenas.devices.host import Transport
from facenas.errors import AgentEndedError, ConnectionLostError, DeviceError, DeviceTimeoutError
from facenas.on_device.frames import HEADER, VERSION, FrameError, Message, pack_frame, parse_body, parse_header
from facenas.remote.transport import Pipe

START_TIMEOUT_S = 90.0
PATIENCE_S = 15.0
_GREETING = b"facenas-agent "
_LARGEST_BANNER_LINES = 1000
_FOLDER = re.compile(rb"facenas-folder (?!.*/\.\.)(/[A-Za-z0-9_./+-]*/facenas-[A-Za-z0-9]{8})\n")
_EXIT = re.compile(r"facenas-agent-exit (\d{1,3})$", re.MULTILINE)
_RECEIVE = """
import hashlib, os, sys
if sys.version_info < (3, 8):
    sys.exit("facenas-old-python " + sys.version.split()[0])
left, wanted, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
with open(path, "wb") as file:
    while left:
        part = os.read(0, min(left, 65536))
        if not part:
            sys.exit("facenas: the agent did not arrive whole")
        file.write(part)
        left -= len(part)
    file.flush()
    os.fsync(file.fileno())
with open(path, "rb") as file:
    found = hashlib.sha256(file.read()).hexdigest()
if found != wanted:
    sys.exit("facenas-hash-differs " + found)
"""
_DISK_FULL = ("No space left", "File too large", "quota exceeded")


@cache
def agent_file() -> bytes:
    """The agent as one zip file that Python runs. Equal versions give equal bytes."""
    modules = [file for file in importlib.resources.files("facenas.on_device").iterdir() if file.name.endswith(".py")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entries = {"facenas/__init__.py": b""}
        entries |= {f"facenas/on_device/{file.name}": file.read_bytes() for file in sorted(modules, key=str)}
        entries["__main__.py"] = b"from facenas.on_device.device_agent import main\nmain()\n"
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


class Session:
    """A running agent on a device. Every method raises ConnectionLostError, or DeviceError where trying again is vain."""

    def __init__(
        self,
        transport: Transport,
        python: str,
        leftovers: tuple[str, ...] = (),
        patience_s: float = PATIENCE_S,
        start_s: float = START_TIMEOUT_S,
    ) -> None:
        """Copies the agent there and starts it, within `start_s` each; `leftovers` are folders of earlier sessions to remove;
        `patience_s`: so much later than the agent itself this side gives up on a reply."""
        self._host, self._python, self._patience_s = transport.host, python, patience_s
        agent = agent_file()
        self._pipe = Pipe(transport, _command(transport, python, agent, leftovers))
        self._errors: str | None = None
        self._folder = ""
        try:
            self._pipe.send(agent, start_s)
            self._expect_greeting(start_s)
        except ConnectionLostError as error:
            raise self._start_failure(error) from error

    def request(self, message: dict[str, Any], data: bytes, timeout_s: float) -> Message:
        """The reply to one message. Raises AgentEndedError where the agent's process ended before it replied."""
        # The agent ends itself where its runtime hangs; if it cannot, the pipe's own deadline comes a little later.
        frame = pack_frame(message | {"seconds": max(1, round(timeout_s))}, data)
        patience_s = max(1, round(timeout_s)) + self._patience_s
        try:
            self._pipe.send(frame, patience_s)
            length, checksum = parse_header(self._pipe.receive(HEADER.size, patience_s))
            return parse_body(self._pipe.receive(length, patience_s), checksum)
        except FrameError as error:
            raise ConnectionLostError(f"what {self._host} sent was damaged: {error}") from error
        except DeviceTimeoutError:
            self.end()
            raise
        except ConnectionLostError as error:
            if ended := _EXIT.search(self.end()):
                raise AgentEndedError(int(ended[1]), _last_line(self.end())) from error
            raise

    def close(self) -> None:
        """Ask the agent to end, and wait for it: its folder is then removed."""
        if self._errors is not None:  # it has ended
            return
        try:
            self._pipe.send(pack_frame({"operation": "close", "seconds": 10}), 5)
        except ConnectionLostError:
            pass
        finally:
            self.end()

    def end(self) -> str:
        """End the connection; what the device said on standard error."""
        if self._errors is None:
            self._errors = self._pipe.end()
        return self._errors

    @property
    def leftover(self) -> str | None:
        """The folder that may still be there, once the session has ended without word of its removal."""
        return self._folder if self._folder and not _EXIT.search(self.end()) else None

    def _expect_greeting(self, start_s: float) -> None:
        deadline = time.monotonic() + start_s
        for _ in range(_LARGEST_BANNER_LINES):
            line = self._pipe.receive_line(deadline - time.monotonic())
            if folder := _FOLDER.fullmatch(line):
                self._folder = folder[1].decode()
            if line.startswith(_GREETING):
                spoken = line.removeprefix(_GREETING).strip().decode("ascii", "replace")
                if spoken != str(VERSION):
                    self.end()
                    raise DeviceError(f"the agent on {self._host} speaks version {spoken[:20]}, this is {VERSION}")
                return
        raise ConnectionLostError(f"{self._host} speaks, but no agent answers there")

    def _start_failure(self, error: ConnectionLostError) -> DeviceError:
        """Why no agent answers, from what was said on standard error."""
        said, host = self.end(), self._host
        ended = _EXIT.search(said)
        last = _last_line(said)
        if any(words in said for words in _DISK_FULL):
            return DeviceError(f"the disk of {host} is full ({last}); free it, then go on with --resume")
        if "facenas-no-folder" in said:
            return DeviceError(f"no temporary folder can be made on {host} ({last}); check the rights of that user")
        if "facenas-old-python" in said:
            return DeviceError(f"Python on {host} is too old ({last.split()[-1]}); install Python 3.8 or later there")
        if "facenas-hash-differs" in said:
            return ConnectionLostError(f"the agent arrived damaged on {host} (its SHA-256 differs)")
        if ended and int(ended[1]) in (126, 127):
            return DeviceError(
                f"there is no '{self._python}' on {host}; install Python 3.8 or later there (Debian, Ubuntu, Jetson: "
                "sudo apt install python3), or name it with --python"
            )
        if ended:
            return DeviceError(f"the agent on {host} ended with exit code {ended[1]}: {last[:200]}")
        return _unreachable(host, said, last) or error


def _unreachable(host: str, said: str, last: str) -> DeviceError | None:
    """The transport's own complaint in words with its cure, or None where it made none."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return DeviceError(f"the host key of {host} has changed; find out why before you trust it (ssh {host})")
    if "Host key verification failed" in said:
        return DeviceError(f"the host key of {host} is not known; connect once by hand (ssh {host}) and check it")
    if "Permission denied" in said:
        return DeviceError(f"{host} does not let this user in ({last}); set up a key: ssh-copy-id {host}")
    if "unauthorized" in said:
        return DeviceError(f"{host} does not trust this computer; allow USB debugging on its screen")
    if last:
        return ConnectionLostError(
            f"{host} cannot be reached ({last[:200]}); check that it is on and its name is right"
        )
    return None


def _command(transport: Transport, python: str, agent: bytes, leftovers: tuple[str, ...]) -> str:
    """The shell command line; it needs nothing but a POSIX shell, mktemp and rm before Python."""
    interpreter, receive = shlex.quote(python), shlex.quote(_RECEIVE)
    digest = hashlib.sha256(agent).hexdigest()
    lines = [
        "trap '' HUP",  # the folder is removed although the connection is gone
        *([f"rm -rf {' '.join(map(shlex.quote, leftovers))}"] if leftovers else []),
        "umask 077",
        f'd=$(mktemp -d "{transport.temporary}/facenas-XXXXXXXX") || {{ echo facenas-no-folder >&2; exit 1; }}',
        'echo "facenas-folder $d"',
        f'{interpreter} -I -c {receive} {len(agent)} {digest} "$d/agent.pyz" '
        f'&& TMPDIR="$d" {interpreter} "$d/agent.pyz"',  # what a runtime leaves there is removed with it
        "code=$?",
        'rm -rf "$d"',
        'echo "facenas-agent-exit $code" >&2',
        "exit $code",
    ]
    return f"sh -c {shlex.quote(chr(10).join(lines))}"


def _last_line(said: str) -> str:
    """The last line on standard error that is not the agent's shell's, shortened."""
    lines = (line.strip() for line in reversed(said.splitlines()))
    return next((line for line in lines if line and not line.startswith(("facenas-agent", "facenas-no"))), "")[:200]


def words_for_exit(code: int, seconds: float) -> str:
    """How an agent's process ended, in words for its user; `code` as a shell tells it, 128 + n for signal n."""
    signals = {128 + number: number.name for number in signal.Signals}
    if code == 128 + signal.SIGALRM:
        return f"took more than {seconds:g} s"
    if code == 128 + signal.SIGKILL:
        return "was killed: the device ran out of memory"
    return f"crashed with signal {signals[code]}" if code in signals else f"ended with exit code {code}"
