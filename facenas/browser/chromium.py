"""A headless Chromium with one page, driven over its DevTools pipe.

Messages are JSON ended by a zero byte, to the browser's file descriptor 3 and from its 4. A browser whose pipe is closed ends
by itself, so it ends with the process that started it, however that ends; the shell around it then removes the folder that
the browser kept its things in.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from facenas.errors import InputError, MissingPackageError

EXECUTABLE = "FACENAS_CHROMIUM"
"""The environment variable that names the browser's file."""

START_S, CALL_S = 60.0, 120.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--mute-audio",
    "--no-pings",
)
WITHOUT_GPU = ("--disable-gpu",)
_SHELL = 'trap "" INT TERM HUP; folder=$1; shift; "$@" 2>"$folder/words"; exec 3<&- 4>&-; rm -rf "$folder"'
_END_S = 5.0
_FIRST_FREE_DESCRIPTOR = 10
_WORDS_BYTES = 4000
_SHORT, _LONGEST = "/tmp", 30


class BrowserGoneError(Exception):
    """The browser has ended, or was ended because it did not answer in time; `hung` says which."""

    def __init__(self, words: str, *, hung: bool = False) -> None:
        super().__init__(words)
        self.hung = hung


class PageError(Exception):
    """What a script in the page threw, in its words."""


def find_chromium() -> Path:
    """The browser's file. Raises MissingPackageError where there is none, InputError where the one that is named is no file
    that runs."""
    if named := os.environ.get(EXECUTABLE):
        if (path := shutil.which(named)) is None:
            raise InputError(f"{EXECUTABLE} is {named}, which is no program; give the path of a Chromium")
        return Path(path)
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise MissingPackageError(
            f"there is no Chromium here; install one (apt install chromium), or name its file: {EXECUTABLE}=PATH"
        )
    return Path(found)


@lru_cache
def version_of(executable: Path) -> str:
    """What `--version` says, for example `Chromium 150.0.7871.100`. Raises InputError where it says nothing."""
    try:
        done = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=START_S, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{executable} does not run ({error}); name another browser: {EXECUTABLE}=PATH") from error
    words = done.stdout.strip().splitlines()
    if not words:
        raise InputError(f"{executable} tells no version; name another browser: {EXECUTABLE}=PATH")
    return " ".join(words[-1].split(" built on ")[0].split())


class Chromium:
    """A running browser. Use it in a `with` block, or call `end`.

    `options`: of its command line, beside those that it always has; `folder`: where it keeps its things meanwhile; `process`:
    the shell around it, the first of its process group; `console`: what its page has said.
    """

    def __init__(self, executable: Path, options: tuple[str, ...] = WITHOUT_GPU, call_s: float = CALL_S) -> None:
        self._call_s, self._last, self._buffer = call_s, 0, b""
        self.console: list[str] = []
        self.folder = _make_folder()
        # Root has no sandbox of its own to drop to.
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        command = [
            str(executable),
            *_OPTIONS,
            *sandbox,
            *options,
            f"--user-data-dir={self.folder / 'profile'}",
            "about:blank",
        ]
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        try:
            self.process = os.posix_spawn(
                "/bin/sh",
                ["/bin/sh", "-c", _SHELL, "facenas-browser", str(self.folder), *command],
                os.environ | {"HOME": str(self.folder), "TMPDIR": str(self.folder)},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs_in, 3),
                    (os.POSIX_SPAWN_DUP2, theirs_out, 4),
                ],
                setpgroup=0,
                setsigdef=[signal.SIGPIPE],
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        try:
            target = self._request("Target.createTarget", {"url": "about:blank"}, START_S)["targetId"]
            attach = {"targetId": target, "flatten": True}
            self._session = self._request("Target.attachToTarget", attach, START_S)["sessionId"]
            for domain in ("Runtime", "Page"):
                self.call(f"{domain}.enable")
        except BrowserGoneError as error:
            self.end()
            raise InputError(f"{executable} does not start: {error}") from error
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def call(self, method: str, timeout_s: float | None = None, **parameters: Any) -> dict[str, Any]:
        """A DevTools command to the page, and its result. Raises BrowserGoneError."""
        return self._request(method, parameters, timeout_s or self._call_s, self._session)

    def open(self, address: str) -> None:
        """Go to a page. Raises BrowserGoneError, and PageError where it cannot be opened."""
        result = self.call("Page.navigate", url=address)
        if problem := result.get("errorText"):
            raise PageError(f"{address} cannot be opened: {problem}")

    def evaluate(self, script: str, timeout_s: float | None = None) -> Any:
        """The value of an expression in the page, its promise awaited. Raises BrowserGoneError, and PageError with what it
        threw."""
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", timeout_s, **parameters)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            words = details.get("exception", {}).get("description") or details.get("text", "")
            raise PageError(str(words).strip().splitlines()[0][:300])
        return result["result"].get("value")

    def wait_for(self, script: str, timeout_s: float) -> None:
        """Until an expression in the page is true. Raises PageError where it never is."""
        deadline_s = time.monotonic() + timeout_s
        while not self.evaluate(script, timeout_s):
            if time.monotonic() > deadline_s:
                raise PageError(f"the page is not ready after {timeout_s:g} s")
            time.sleep(0.02)

    def end(self) -> None:
        """End the browser and remove its folder, whatever state they are in; again is no fault."""
        if self._out < 0:
            return
        for descriptor in (self._out, self._in):
            os.close(descriptor)
        self._out = self._in = -1
        deadline_s = time.monotonic() + _END_S
        while not _has_ended(self.process):
            if time.monotonic() > deadline_s:
                os.killpg(self.process, signal.SIGKILL)
                os.waitpid(self.process, 0)
                break
            time.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _request(self, method: str, parameters: dict[str, Any], timeout_s: float, session: str = "") -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        deadline_s = time.monotonic() + timeout_s
        self._write(json.dumps(message).encode() + b"\0", deadline_s, timeout_s)
        while True:
            reply = self._read(deadline_s, timeout_s)
            if reply.get("id") == self._last:
                break
            self._notice(reply)
        if "error" in reply:
            raise PageError(f"{method}: {reply['error'].get('message', 'refused')}")
        result: dict[str, Any] = reply.get("result", {})
        return result

    def _notice(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Runtime.consoleAPICalled":
                words = [str(each.get("value", each.get("description", ""))) for each in event["params"]["args"]]
                self.console.append(" ".join(words))
            case "Inspector.targetCrashed" | "Target.detachedFromTarget" | "Target.targetCrashed":
                self._gone("its page crashed, for want of memory perhaps")

    def _write(self, content: bytes, deadline_s: float, timeout_s: float) -> None:
        while content:
            self._ready(write=True, deadline_s=deadline_s, timeout_s=timeout_s)
            try:
                content = content[os.write(self._out, content[: select.PIPE_BUF]) :]
            except BrokenPipeError:
                self._gone("it has ended")

    def _read(self, deadline_s: float, timeout_s: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            self._ready(write=False, deadline_s=deadline_s, timeout_s=timeout_s)
            content = os.read(self._in, 1 << 20)
            if not content:
                self._gone("it has ended")
            self._buffer += content
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _ready(self, *, write: bool, deadline_s: float, timeout_s: float) -> None:
        if self._out < 0:
            raise BrowserGoneError("it was ended")
        left_s = max(0.0, deadline_s - time.monotonic())
        if not any(select.select([] if write else [self._in], [self._out] if write else [], [], left_s)):
            self._kill()
            raise BrowserGoneError(f"it did not answer within {timeout_s:g} s", hung=True)

    def _kill(self) -> None:
        os.killpg(self.process, signal.SIGKILL)
        self.end()

    def _gone(self, words: str) -> None:
        said = self._last_words()
        self.end()
        raise BrowserGoneError(f"{words}{f' ({said})' if said else ''}")

    def _last_words(self) -> str:
        try:
            words = (self.folder / "words").read_text(encoding="utf-8", errors="replace")[-_WORDS_BYTES:]
        except OSError:
            return ""
        lines = [line for line in words.splitlines() if "FATAL" in line or "ERROR" in line]
        return lines[-1][-200:] if lines else ""


def _make_folder() -> Path:
    """A temporary folder whose name is short: the browser makes a socket in it, whose name ends at about 100 bytes."""
    usual = tempfile.gettempdir()
    place = _SHORT if len(os.fsencode(usual)) > _LONGEST and os.access(_SHORT, os.W_OK) else usual
    return Path(tempfile.mkdtemp(prefix="facenas-browser-", dir=place))


def _pipe() -> tuple[int, int]:
    """The ends to read and to write, neither of which is a descriptor that the browser wants."""
    moved = []
    for descriptor in os.pipe():
        moved.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE_DESCRIPTOR))
        os.close(descriptor)
    return moved[0], moved[1]


def _has_ended(process: int) -> bool:
    return os.waitpid(process, os.WNOHANG) != (0, 0)
