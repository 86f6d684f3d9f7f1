"""Transports: how a command reaches a device, and a pipe to it that never waits for ever.

A host is `user@host`, `host` or `ssh://user@host:port` (the system's OpenSSH client with the user's own keys and
configuration; it asks for nothing, so an unknown host key or a missing key is an error), `adb` or `adb:SERIAL`, or
`local`, this machine. Each is a command that takes one shell command line and joins its standard streams to ours.
"""

import contextlib
import os
import selectors
import subprocess
import time

from facenas.devices.host import Transport
from facenas.errors import ConnectionLostError, DeviceTimeoutError, MissingPackageError

_CHUNK_BYTES = 1 << 18
_KEPT_ERRORS_BYTES = 8192
_LARGEST_LINE_BYTES = 4096


class Pipe:
    """A process with deadlines for all that is sent to it and received from it. Use it in a `with` block or `end` it."""

    def __init__(self, transport: Transport, command: str) -> None:
        """Starts the command on the device. Raises MissingPackageError where the transport's program is absent."""
        self._host = transport.host
        try:
            self._process = subprocess.Popen(
                [*transport.prefix, command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the host, which then ends the device's agent in order
            )
        except FileNotFoundError as error:
            program = transport.prefix[0]
            cure = {"ssh": "the OpenSSH client", "adb": "the Android platform tools"}.get(program, "it")
            raise MissingPackageError(
                f"the program '{program}', needed to reach {transport}, is not installed; install {cure}"
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout, self._stderr = self._process.stdin, self._process.stdout, self._process.stderr
        for stream in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(stream.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)
        self._received = bytearray()
        self._errors = bytearray()
        self._ended = False

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it. Raises ConnectionLostError where the other side is gone, DeviceTimeoutError when time is up."""
        deadline = time.monotonic() + timeout_s
        rest = memoryview(data)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)
        try:
            while rest:
                if self._stdin in self._wait(deadline, enough=len(self._received) + _CHUNK_BYTES):
                    rest = rest[os.write(self._stdin.fileno(), rest[:_CHUNK_BYTES]) :]
        except BrokenPipeError:
            raise ConnectionLostError(f"the connection to {self._host} ended") from None
        finally:
            self._selector.unregister(self._stdin)

    def receive(self, count: int, timeout_s: float) -> bytes:
        """The next `count` bytes. Raises ConnectionLostError at the end of the stream, DeviceTimeoutError."""
        deadline = time.monotonic() + timeout_s
        while len(self._received) < count:
            if self._ended:
                raise ConnectionLostError(f"the connection to {self._host} ended")
            self._wait(deadline, enough=count)
        taken = bytes(memoryview(self._received)[:count])
        del self._received[:count]
        return taken

    def receive_line(self, timeout_s: float) -> bytes:
        """The next line with its line feed. Raises like `receive`, also for a line of more than 4 KiB."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            if self._ended or len(self._received) > _LARGEST_LINE_BYTES:
                raise ConnectionLostError(f"the connection to {self._host} ended before a whole line came")
            self._wait(deadline, enough=_LARGEST_LINE_BYTES + 1)
        return self.receive(self._received.index(b"\n") + 1, 0)

    def _wait(self, deadline: float, enough: int) -> list[object]:
        """Wait until something can be done; what has arrived is taken. Returns the streams that are ready.

        Of standard output no more than `enough` bytes are held, of standard error the end.
        """
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise DeviceTimeoutError(f"{self._host} gave no answer in time")
        ready = [key.fileobj for key, _ in self._selector.select(left_s)]
        if self._stdout in ready and (part := os.read(self._stdout.fileno(), _CHUNK_BYTES)) is not None:
            self._received += part
            if not part:
                self._ended = True
                self._selector.unregister(self._stdout)
            elif len(self._received) > enough + 2 * _CHUNK_BYTES:
                raise ConnectionLostError(f"{self._host} sends what nobody asked for")
        if self._stderr in ready:
            part = os.read(self._stderr.fileno(), _CHUNK_BYTES)
            self._errors = (self._errors + part)[-_KEPT_ERRORS_BYTES:]
            if not part:
                self._selector.unregister(self._stderr)
        return list(ready)

    def end(self, grace_s: float = 5.0) -> str:
        """Close the pipe, wait for the process, kill it when `grace_s` are over; the end of its standard error."""
        for stream in (self._stdin, self._stdout):
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self._selector.close()
        deadline = time.monotonic() + grace_s
        with selectors.DefaultSelector() as selector, self._stderr:
            selector.register(self._stderr, selectors.EVENT_READ)
            while (left_s := deadline - time.monotonic()) > 0:
                if selector.select(left_s):
                    part = os.read(self._stderr.fileno(), _CHUNK_BYTES)
                    if not part:
                        break
                    self._errors = (self._errors + part)[-_KEPT_ERRORS_BYTES:]
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return self._errors.decode("utf-8", "replace")
