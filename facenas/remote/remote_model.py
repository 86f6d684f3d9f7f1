"""RemoteModel: an exported file that runs on a device elsewhere, with the interface of every compiled model.

So `verify`, `evaluate` and `detect` do there what they do here. A photo is read, fitted and decoded on this machine; only
the network runs there. An image that was made from 8-bit pixels travels as those, a quarter of its bytes, where the device
makes the same numbers of them, which is tried before.

The times that a device reports must agree with this machine's clock: how much longer 16 runs take than one does not
depend on the connection.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from facenas.arrays import FloatArray, IntArray
from facenas.devices.host import transport_for
from facenas.devices.own_devices import add_command, load_devices
from facenas.devices.target import NAMED_TARGETS, Target
from facenas.errors import DeviceError, InputError
from facenas.exporters.artefact import Description
from facenas.exporters.executed import layers_by_onnxruntime
from facenas.exporters.formats import description_of, format_of
from facenas.exporters.tensorrt import stamp_differences
from facenas.on_device.device_agent import MAX_SIDE_PX
from facenas.on_device.device_runtimes import RUNTIMES
from facenas.on_device.frames import MAX_BODY_BYTES
from facenas.pipeline.preprocess import Preprocessing
from facenas.progress import SILENT, Progress
from facenas.remote.remote_agent import FileThere, RemoteAgent
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes
from facenas.runtimes.runtime import runtime_of
from facenas.units import DEFAULT_INPUT, Size

CLOCK_RUNS, CLOCK_TRIES = 16, 5
MIN_OF_CLOCK = 0.7
"""Of what passes here during further runs, the least share that the device must report; launches and waking take the rest."""
_CLOCK_SLACK_NS = 2_000_000 + CLOCK_RUNS * 500_000


class RemoteModel(CompiledModel):
    """An exported file, or an ONNX model as bytes, on the device of an agent. Threads may share it.

    Raises InputError for a file that the device's runtime does not load, or an engine that was built for another device.
    """

    def __init__(self, agent: RemoteAgent, model: Path | bytes) -> None:
        self._agent = agent
        self._turn = threading.Lock()
        self._clock_agrees = False
        if isinstance(model, bytes):
            size, self._preprocessing = _size_of(model), Preprocessing()
            self.input_size = size
            self._file = FileThere(model, "onnx", _shape(size or DEFAULT_INPUT))
            return
        description = description_of(model)
        self._preprocessing = description.preprocessing
        self.input_size = None if description.dynamic else description.input_size
        self._file = _file_there(model, description, agent)

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        if image.ndim != 4 or image.shape[:2] != (1, 3) or max(image.shape) > MAX_SIDE_PX:
            raise InputError(f"the model does not take an image of shape {list(image.shape)}")
        message: dict[str, Any] = {"operation": "run", "shape": list(image.shape)}
        picture = _picture_of(image, self._preprocessing)
        if picture is None:
            data = image.astype("<f4").tobytes()
        else:
            data, message["pixels"] = picture.tobytes(), _pixels(self._preprocessing)
        with self._turn:
            reply, values, _ = self._agent.ask(self._file, message, data)
        return self._outputs(reply, values)

    def _outputs(self, reply: Mapping[str, Any], data: bytes) -> dict[str, FloatArray]:
        outputs: dict[str, FloatArray] = {}
        start = 0
        try:
            for name, shape in reply["outputs"]:
                sides = [int(side) for side in shape]
                if min(sides, default=0) < 1 or not isinstance(name, str) or name in outputs:
                    raise ValueError(f"an output {str(name)[:40]!r} of shape {sides[:8]}")
                count = int(np.prod(sides, dtype=object))
                if count > MAX_BODY_BYTES or start + 4 * count > len(data):
                    raise ValueError("values are missing")
                outputs[name] = np.frombuffer(data, "<f4", count, start).reshape(sides).astype(np.float32)
                start += 4 * count
            if start != len(data):
                raise ValueError("there are values of no output")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DeviceError(
                f"{self._agent.target} answered with what are no outputs ({error}); try it again"
            ) from error
        return outputs

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """Nanoseconds of each of `runs` runs on the device, after one that is not counted, int64 [runs].

        Raises DeviceError where its clock does not agree with this machine's.
        """
        if _shape(self.timed_size(input_size)) != self._file.shape:
            raise InputError(
                f"the file is timed at {self._file.shape[3]}x{self._file.shape[2]} alone on a device elsewhere"
            )
        if not self._clock_agrees:
            self._compare_clocks()
            self._clock_agrees = True
        return np.array(self._time(runs)[0], np.int64)

    def _time(self, runs: int) -> tuple[tuple[int, ...], int]:
        """The times of the runs, and what passed here."""
        with self._turn:
            reply, _, elapsed_ns = self._agent.ask(self._file, {"operation": "time", "runs": runs})
        times = self._agent.check_times(reply.get("times_ns", ()), runs, elapsed_ns)
        self._agent.check_state(reply.get("state"))
        as_graph = reply.get("as_graph")
        self.as_graph = None if as_graph is None else bool(as_graph)
        return times, elapsed_ns

    def _compare_clocks(self) -> None:
        """Raises DeviceError where the device says that its runs take much less than passes here."""
        self._time(1)  # it is loaded there now
        ones, manies = zip(*((self._time(1), self._time(CLOCK_RUNS)) for _ in range(CLOCK_TRIES)), strict=True)
        passed_ns = min(elapsed for _, elapsed in manies) - min(elapsed for _, elapsed in ones)
        reported_ns = max(sum(times) for times, _ in manies) * (CLOCK_RUNS - 1) / CLOCK_RUNS
        if reported_ns < MIN_OF_CLOCK * passed_ns - _CLOCK_SLACK_NS:
            a_run = [f"{ns / (CLOCK_RUNS - 1) / 1e6:.2f} ms" for ns in (reported_ns, passed_ns)]
            raise DeviceError(
                f"{self._agent.target} reports {a_run[0]} a run, where {a_run[1]} pass on this machine's clock; check its clock"
            )

    def peak_memory_bytes(self) -> int | None:
        """What memory the file took on the device when it was loaded and run; None where it does not tell, or was not."""
        told = self._agent.peak_bytes.get(self._file.key)
        return told if isinstance(told, int) and not isinstance(told, bool) and told > 0 else None

    def computed_in(self) -> dict[str, str] | None:
        """By layer, the precision of its convolution in the graph that ONNX Runtime made there; other runtimes do not tell."""
        if self._agent.target.runtime != "onnxruntime":
            return None
        with self._turn:
            _, graph, _ = self._agent.ask(self._file, {"operation": "layers", "runs": 1, "graph": True})
        try:
            return layers_by_onnxruntime(onnx.load_from_string(graph))
        except DecodeError as error:
            raise DeviceError(f"{self._agent.target} answered with what is no graph; try it again") from error

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """Of an exported file no device elsewhere tells them. Raises InputError."""
        raise InputError(f"{self._agent.target} tells the layers of profiled networks alone; profile it")


@contextmanager
def kept_agent(target: Target, progress: Progress = SILENT) -> Iterator[RemoteAgent]:
    """The agent on the device of that name, connected, to run files there. Raises InputError for one that was not added or is
    only profiled, DeviceError for one that cannot be reached."""
    kept = load_devices().get(target.name)
    if kept is None:
        raise InputError(f"where '{target}' is, is not known; say it for good: {add_command(target)}")
    if not RUNTIMES[target.runtime][0].forms:
        raise InputError(
            f"device '{target}' is only profiled: no exported file of {target.runtime} is run elsewhere yet; search and "
            f"predict for it, and prove the file here with --device {_stand_in_here(target)}"
        )
    with RemoteAgent(target, transport_for(kept.host), python=kept.python, note=progress.note) as agent:
        agent.connect()
        yield agent


def _stand_in_here(target: Target) -> str:
    """The target of this machine that runs the same files."""
    same = (each.name for each in NAMED_TARGETS if (each.runtime, each.precision) == (target.runtime, target.precision))
    return next(same, "cpu")


def _file_there(path: Path, description: Description, agent: RemoteAgent) -> FileThere:
    shape, target = _shape(description.input_size), agent.target
    strict = runtime_of(target).on_gpu or "int8" in (description.precision, target.precision)
    if strict and description.precision != target.precision:
        raise InputError(
            f"{path} is {description.precision}, device {target} computes {target.precision}; export it with --precision "
            f"{target.precision}"
        )
    file_format = format_of(path)
    content, form, weights_at = path.read_bytes(), file_format.name, 0
    if (weights := file_format.weights_of(path)) is not None:
        weights_at = len(content)
        content += weights.read_bytes()
    if description.built_with and (reason := stamp_differences(description.built_with, _board(agent.facts), "there")):
        raise InputError(
            f"{path} was built elsewhere ({reason}); engines are not portable, export it for this one: facenas export "
            f"--format {form} --device {target}"
        )
    if form not in RUNTIMES[target.runtime][0].forms:
        raise InputError(
            f"{path} is a file of format {form}, which {target.runtime} does not load; export it for {target}"
        )
    if len(content) > MAX_BODY_BYTES - (1 << 16):
        raise InputError(f"{path} has {len(content)} bytes, more than are sent to a device ({MAX_BODY_BYTES})")
    return FileThere(content, form, shape, weights_at)


def stamp_of(facts: Mapping[str, Any], model: bytes) -> dict[str, str]:
    """What an engine that a device built of an ONNX model only works with."""
    return {**_board(facts), "onnx_sha256": hashlib.sha256(model).hexdigest()}


def _board(facts: Mapping[str, Any]) -> dict[str, str]:
    names = {"version": "runtime_version", "gpu": "gpu_name", "driver": "cuda_driver"}
    told = {name: names.get(name, name) for name in ("version", "gpu", "compute_capability", "driver")}
    return {"flavour": "tensorrt"} | {name: str(facts.get(fact, "unknown")) for name, fact in told.items()}


def _shape(size: Size) -> tuple[int, int, int, int]:
    return (1, 3, size.height_px, size.width_px)


def _size_of(model: bytes) -> Size | None:
    """The input of an ONNX model; None where it leaves it open."""
    height, width = onnx.load_from_string(model).graph.input[0].type.tensor_type.shape.dim[2:]
    return Size(width.dim_value, height.dim_value) if width.dim_value and height.dim_value else None


def _pixels(preprocessing: Preprocessing) -> dict[str, Any]:
    means = np.broadcast_to(np.asarray(preprocessing.mean, np.float64), 3).tolist()
    deviation = preprocessing.standard_deviation
    return {"order": preprocessing.colour_order, "mean": means, "standard_deviation": deviation}


def _picture_of(image: FloatArray, preprocessing: Preprocessing) -> Any:
    """The uint8 pixels [height, width, 3] of which preprocessing makes exactly this image; None where there are none."""
    means = np.broadcast_to(np.asarray(preprocessing.mean, np.float32), 3)[:, None, None]
    planes = np.rint(image[0] * np.float32(preprocessing.standard_deviation) + means)
    if not (planes >= 0).all() or not (planes <= 255).all():
        return None
    if preprocessing.colour_order == "BGR":
        planes = planes[::-1]
    picture = np.ascontiguousarray(planes.transpose(1, 2, 0).astype(np.uint8))
    return picture if np.array_equal(preprocessing.normalise(picture), image) else None
