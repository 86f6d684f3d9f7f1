import io
import random
import tracemalloc
from contextlib import nullcontext

import pytest

from facenas.on_device.frames import FrameError, pack_frame, read_frame


def test_10_000_random_frames_are_refused_without_taking_memory() -> None:
    generator = random.Random(5)
    good = pack_frame({"operation": "time"}, b"data")
    tracemalloc.start()
    for _ in range(10_000):
        frame = bytearray(good if generator.random() < 0.7 else generator.randbytes(60))
        for _ in range(generator.randrange(1, 4)):
            frame[generator.randrange(len(frame))] = generator.randrange(256)
        with pytest.raises(FrameError) if bytes(frame) != good else nullcontext():
            read_frame(io.BytesIO(bytes(frame)))
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()
