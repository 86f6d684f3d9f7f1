"""Ctrl-C, SIGTERM (a container that is stopped) and SIGHUP (a terminal that is closed) while a training runs: the step that is
under way is finished, so that what has been learnt can be saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopping:
    """A context in which these signals raise KeyboardInterrupt, or SystemExit with the code that a shell tells of them; within
    `held` they wait for its end. A second one does not wait. Signals that are ignored stay ignored, and threads beside the
    main one, which no signal reaches, leave all as it is.
    """

    def __init__(self) -> None:
        self._held = False
        self._asked: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stopping":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN and before is not None:
                    self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What must not be cut in two."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._asked is not None:
            self._stop(self._asked)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self._held and self._asked is None:
            self._asked = number
        else:
            self._stop(number)

    def _stop(self, number: int) -> None:
        self._asked = None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
