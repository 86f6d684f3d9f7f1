"""Arm's mobile NPUs through Vela, their compiler: no NPU is needed here, and no time is measured.

Vela compiles an int8 TensorFlow Lite file for an Ethos-U and estimates the cycles of each layer; their sum is the
network's. Equal files give equal estimates, so nothing is repeated. All these times are *vendor-estimated*.

Vela chooses by itself which layers pass their features on through the small memory on the chip. Under its option
`--optimise Performance` the choice for one layer hangs on many others, and the layers of a network add up to its total
within 2 % on average; under `--optimise Size`, used where features go through DRAM, within 0.2 %, and the networks are as
fast (1 % on average). Where features live in shared SRAM, Performance couples little and is used.
"""

import contextlib
import csv
import io
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facenas.arrays import FloatArray, IntArray
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.runtimes.compiled_model import CompiledModel, LayerTimes
from facenas.units import Size

_CUSTOM_OPERATOR = "ethos-u"


@dataclass(frozen=True)
class Npu:
    """An NPU and the system around it, in the words of Vela's configuration file Arm/vela.ini."""

    accelerator: str
    system: str
    memory: str
    optimise: str

    def __str__(self) -> str:
        return f"{self.accelerator}, {self.system}, {self.memory}, optimise {self.optimise}"


# 1 GHz and LPDDR4-like memory of 12 GB/s where it has any; the microcontroller's NPU keeps features in shared SRAM.
_NPUS = {
    "npu": Npu("ethos-u65-512", "Ethos_U65_Client_Server", "Dedicated_Sram_512KB", "Size"),
    "npu-u55-256": Npu("ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram", "Performance"),
    "npu-u85-512": Npu("ethos-u85-512", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_512KB", "Size"),
}


def npu_of(target: Target) -> Npu:
    """The NPU that a target stands for."""
    return _NPUS[target.name]


@dataclass(frozen=True)
class Estimate:
    """What Vela says of a network: nanoseconds in all and by layer, and the operators that it leaves to the CPU, whose
    time it does not know."""

    latency_ns: int
    layers_ns: dict[str, int]
    cpu_operators: tuple[str, ...]


def estimate(content: bytes, npu: Npu) -> Estimate:
    """Compile the bytes of an int8 .tflite file. Raises InputError where Vela cannot."""
    from ethosu.vela import vela
    from ethosu.vela.errors import VelaError

    from facenas.exporters.tflite_file import read_tflite

    with tempfile.TemporaryDirectory(prefix="facenas-") as folder:
        network = Path(folder, "network.tflite")
        network.write_bytes(content)
        arguments = ["--accelerator-config", npu.accelerator, "--system-config", npu.system]
        arguments += ["--memory-mode", npu.memory, "--config", "Arm/vela.ini", "--optimise", npu.optimise]
        arguments += ["--verbose-performance", "--output-dir", folder]
        words = io.StringIO()
        try:
            with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
                vela.main([str(network), *arguments])
        except (VelaError, RuntimeError, ValueError, SystemExit) as error:
            reason = (str(error) if str(error) not in ("", "1", "2") else words.getvalue()).strip() or "no reason given"
            raise InputError(f"Vela cannot compile the network for {npu.accelerator}: {reason[-200:]}") from error
        summary = _rows(next(Path(folder).glob("network_summary_*.csv")))[0]
        ns_per_cycle = 1e9 / float(summary["core_clock"])
        layers: defaultdict[str, float] = defaultdict(float)
        known = {operator.output_name.partition("/")[0] for operator in read_tflite(network).operators}
        before = 0.0  # Vela's own, a copy of a layer's features into the small memory: what that layer costs there
        for row in _rows(Path(folder, "network_per-layer.csv")):
            layer, cycles = row["Name"].partition("/")[0], float(row["Op Cycles"])
            if layer in known:
                layers[layer] += (before + cycles) * ns_per_cycle
                before = 0.0
            else:
                before += cycles
        compiled = read_tflite(Path(folder, "network_vela.tflite"))
    return Estimate(
        round(float(summary["cycles_total"]) * ns_per_cycle),
        {name: round(time_ns) for name, time_ns in layers.items()},
        tuple(operator.kind for operator in compiled.operators if operator.custom != _CUSTOM_OPERATOR),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class VelaModel(CompiledModel):
    """A network compiled for an NPU that is not here: it tells its estimated times and cannot run.

    `model` is an int8 .tflite file; with `timing_only` it may be an fp32 ONNX model, quantised with made-up ranges, which
    the times do not depend on. Raises InputError where Vela cannot compile it or leaves operators to the CPU.
    """

    def __init__(self, model: Path | bytes, target: Target, *, timing_only: bool) -> None:
        content = model if isinstance(model, bytes) else model.read_bytes()
        tflite, self.input_size = _as_tflite(content, target, timing_only=timing_only)
        self.estimate = estimate(tflite, npu_of(target))
        if self.estimate.cpu_operators:
            listed = ", ".join(sorted(set(self.estimate.cpu_operators)))
            raise InputError(f"{target} cannot compute {listed} of this network, Vela leaves them to the CPU")
        self._target = target

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """Raises InputError: there is no NPU here."""
        raise InputError(f"device '{self._target}' is not here to run on; run the .tflite file with cpu-litert")

    def computed_in(self) -> dict[str, str]:
        """All layers in int8 on the NPU: what it would leave to the CPU is refused."""
        return dict.fromkeys(self.estimate.layers_ns, "int8")

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """The estimate, `runs` times, int64 [runs]."""
        return np.full(runs, self.estimate.latency_ns, np.int64)

    def layer_times(self, runs: int, warm_up: int = 2) -> LayerTimes:
        """The estimates of all layers, `runs` times."""
        times = np.array([list(self.estimate.layers_ns.values())] * runs, np.int64)
        return LayerTimes(
            tuple(self.estimate.layers_ns), times, np.full(runs, self.estimate.latency_ns - times[0].sum(), np.int64)
        )


def _as_tflite(content: bytes, target: Target, *, timing_only: bool) -> tuple[bytes, Size | None]:
    """The int8 model and, where it is from ONNX, its input size."""
    from facenas.exporters.tflite_graph import FILE_IDENTIFIER, timing_stand_in

    if content[4:8] == FILE_IDENTIFIER:
        return content, None
    if not timing_only:
        raise InputError(f"device '{target}' takes int8 .tflite files; export one: --format tflite --precision int8")
    return timing_stand_in(content)
