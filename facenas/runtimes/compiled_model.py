"""CompiledModel: one network compiled by a target's runtime, that runs, is timed, and tells the times of its layers."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facenas.arrays import FloatArray, IntArray
from facenas.errors import InputError
from facenas.units import Size


@dataclass(frozen=True, eq=False)
class LayerTimes:
    """The runtime's own counters over several runs.

    `names[j]` is the layer (facenas.graph.Layer.name) of column j of `times_ns` int64 [rows, layers]: a row is one run,
    or, where the runtime tells only that, the mean of several. `overhead_ns` int64 [rows] is what the counters show
    beside them: reorders and the like that belong to no layer.
    """

    names: tuple[str, ...]
    times_ns: IntArray
    overhead_ns: IntArray


class CompiledModel(ABC):
    """A network ready to run. `input_size` is None where the file leaves height or width open.

    `as_graph`: whether `time` times a CUDA graph, one launch for all; None where there is no such thing.
    """

    input_size: Size | None
    as_graph: bool | None = None

    @abstractmethod
    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The times of all layers in `runs` runs that follow `warm_up` runs that are not counted. Raises InputError where
        the runtime tells none."""
        raise InputError(f"{type(self).__name__} tells no times of layers; it is timed by whole networks")

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """Nanoseconds of each of `runs` runs, end to end, int64 [runs]; `input_size` for a file that leaves it open."""
        image = example_image(self.timed_size(input_size))
        for _ in range(warm_up):
            self.run(image)
        times = np.empty(runs, np.int64)
        for index in range(runs):
            start = time.perf_counter_ns()
            self.run(image)
            times[index] = time.perf_counter_ns() - start
        return times

    def computed_in(self) -> Mapping[str, str] | None:
        """By layer, the precision in which the runtime really computes its convolution; None where it does not tell."""
        return None

    def peak_memory_bytes(self) -> int | None:
        """What memory the file took where it runs, for models that know it."""
        return None

    def timed_size(self, input_size: Size | None = None) -> Size:
        """The size of the image to time with. Raises InputError where neither the file nor the caller says it."""
        size = self.input_size or input_size
        if size is None:
            raise InputError("the model leaves its input size open; give one, for example --input 640x480")
        return size


def example_image(size: Size) -> FloatArray:
    """A fixed random image, float32 [1, 3, height, width] in -1..1: latency depends on its size only."""
    generator = np.random.default_rng(0)
    return generator.uniform(-1, 1, (1, 3, size.height_px, size.width_px)).astype(np.float32)
