"""What the runtimes of a device have in common. This file is also run on devices: Python 3.8 or later, and numpy."""

from __future__ import annotations  # for Python 3.8

import time
from typing import Any

TIME_WARM_UP = 1


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of this program
    """What was asked cannot be done. `kind` is for the host's program, the message for its user."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def example_image(shape: list[int]) -> Any:
    """A fixed random image of a shape."""
    import numpy as np

    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def image_of(data: bytes, shape: list[int], pixels: Any) -> Any:
    """The image of a message, float32 of `shape`: its own values, or made from 8-bit pixels as `pixels` says.

    The arithmetic is that of `facenas.pipeline.preprocess`, so the numbers are equal to the last bit.
    """
    import numpy as np

    _, channels, height, width = shape
    values = channels * height * width
    if len(data) != values * (4 if pixels is None else 1):
        raise Refusal("request", f"{len(data)} bytes are no image of {width}x{height}")
    if pixels is None:
        return np.frombuffer(data, "<f4").reshape(shape).astype(np.float32)
    try:
        means = np.array([float(mean) for mean in pixels["mean"]], np.float32)
        scale = np.float32(1 / float(pixels["standard_deviation"]))
        backwards = {"RGB": False, "BGR": True}[pixels["order"]]
        if len(means) != channels:
            raise ValueError("a mean for each colour")
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise Refusal("request", f"pixels cannot be used ({error!r})") from None
    picture = np.frombuffer(data, np.uint8).reshape(height, width, channels)
    planes = np.empty(shape, np.float32)
    for index in range(channels):
        np.subtract(picture[:, :, channels - 1 - index if backwards else index], means[index], out=planes[0, index])
        planes[0, index] *= scale
    return planes


class OnCpu:
    """What all runtimes on the CPU have in common: they compute on the cores that they are pinned to."""

    pins = True
    forms: tuple[str, ...] = ()  # of exported files that it loads; without any it is only profiled

    def memory_is_short(self) -> bool:
        """Of a memory of its own; it has none."""
        return False

    def timings_so_far(self) -> bytes | None:
        """What a compilation under way has learnt; it never learns anything."""
        return None


def timed(run: Any, runs: int) -> list[int]:
    """Nanoseconds of each of `runs` calls that follow one that is not counted."""
    for _ in range(TIME_WARM_UP):
        run()
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        run()
        times.append(time.perf_counter_ns() - start)
    return times
