"""What a device tells about itself and its times: its fingerprint, whether its times can be, whether it is throttled.

A Jetson's times depend on its power mode (nvpmodel) and clocks (jetson_clocks): both are in the fingerprint, and read where
the system shows them to every user, the mode from `nvpmodel -q` or /var/lib/nvpmodel/status, clocks, temperature and
over-current events from sysfs. Heat lowers the highest clock that is allowed, and the clock with it, so the limit is
compared with what it was at first. A GPU on a card tells by NVML why it is slowed down.
"""

import re
from collections.abc import Callable
from typing import Any

from facenas.devices.cpu import describe_cpu, kernel_flags, limiting_variables
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.power import power_words
from facenas.devices.target import Target
from facenas.errors import DeviceError
from facenas.runtimes.compiled_model import LayerTimes
from facenas.runtimes.runtime import runtime_of

HOT_C = 95.0
"""Orins lower their clocks from 99 °C on; the fan of some begins at 85 °C, which is nothing to warn of."""

_LOW_CLOCK = 0.9
_LONGEST_TOLD, _LONGEST_FACT, _LONGEST_NS, _LARGEST = 200, 20_000, 10**15, 10**15  # of what a device tells
# What the two clocks may differ by, and the resolution of counters.
_SLACK, _SLACK_NS = 1.05, 50_000_000


def fingerprint_of_facts(facts: Any, target: Target, host: str) -> Fingerprint:
    """The fingerprint of a device from what its agent read. Raises DeviceError where that is no fact sheet."""
    try:
        cpuinfo = {str(key): str(value) for key, value in facts["cpuinfo"].items()}
        fallback = str(facts["processor"] or facts["machine"])
        hardware = ", ".join(filter(None, (str(facts["board"]), str(facts.get("gpu", "")))))
        system = f"{facts['system']} {facts['machine']}"
        on_gpu = runtime_of(target).on_gpu
        power = power_words(facts if on_gpu else {**facts, "clocks_fixed": None})  # a GPU's clocks
        l4t = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", str(facts["l4t"]))
        driver = f", CUDA driver {facts['cuda_driver']}" if "cuda_driver" in facts else ""
        fingerprint = Fingerprint(
            cpu=hardware if on_gpu and hardware else describe_cpu(cpuinfo, fallback),
            instruction_sets=tuple(sorted(kernel_flags(cpuinfo) | limiting_variables(facts.get("environment", {})))),
            cores=int(facts["cores"]),
            governor=f"{facts['governor'] or 'unknown'}{power}",
            operating_system=f"{system}{f', Jetson Linux {l4t[1]}.{l4t[2]}' if l4t else ''}{driver}",
            runtime=target.runtime,
            runtime_version=str(facts["runtime_version"]),
            precision=target.precision,
            threads=target.threads,
        )
        if (length := max(len(str(value)) for value in fingerprint.to_json().values())) > _LONGEST_FACT:
            raise ValueError(f"a fact of {length} characters")
        return fingerprint
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DeviceError(f"{host} does not say what it is ({error!r}); profile it again") from error


class StateWatch:
    """Looks at every reply's state and times. `note` is told each kind of trouble once; `warnings` keeps them."""

    def __init__(self, host: str, note: Callable[[str], None]) -> None:
        self._host, self._note = host, note
        self._first: dict[str, Any] | None = None
        self._warnings: dict[str, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the times doubtful, in words."""
        return tuple(self._warnings.values())

    def see(self, state: Any) -> None:
        """Compare a state with the first. Raises DeviceError where the power mode is another than before."""
        if not isinstance(state, dict):
            raise DeviceError(f"{self._host} does not tell its state; profile it again")
        first = self._first = self._first or state
        if state.get("power_mode_file") != first.get("power_mode_file"):
            raise DeviceError(
                f"the power mode of {self._host} was changed while it was measured; set it back (sudo nvpmodel -m ...), "
                "then go on with --resume"
            )
        events, before = _number(state, "throttle_events"), _number(first, "throttle_events")
        if events is not None and before is not None and events > before:
            self._warn("throttle", "was throttled for over-current; use a stronger power supply or a lower power mode")
        temperature_c = _number(state, "temperature_c")
        if temperature_c is not None and temperature_c >= HOT_C:
            self._warn("hot", f"reached {temperature_c:.0f} °C, near where clocks are lowered; cool it, profile again")
        clock_hz, limit_hz = _number(state, "gpu_hz"), _number(state, "gpu_max_hz")
        first_limit_hz = _number(first, "gpu_max_hz")
        if limit_hz and first_limit_hz and limit_hz < first_limit_hz:
            capped = f"{limit_hz / 1e6:.0f} of {first_limit_hz / 1e6:.0f} MHz"
            self._warn("capped", f"allowed its GPU only {capped} after a while: too hot; cool it, profile again")
        if reasons := state.get("throttle_reasons"):
            told = ", ".join(map(str, reasons)) if isinstance(reasons, list) else str(reasons)
            self._warn("slowed", f"slowed its GPU down ({told[:_LONGEST_TOLD]}); mend that, profile again")
        if clock_hz and limit_hz and clock_hz < _LOW_CLOCK * limit_hz:
            clocks = f"{clock_hz / 1e6:.0f} of {limit_hz / 1e6:.0f} MHz"
            cure = "sudo nvidia-smi -lgc, then -lmc" if "throttle_reasons" in state else "sudo jetson_clocks"
            self._warn("clock", f"ran its GPU at {clocks}; fix its clocks: {cure}")

    def _warn(self, kind: str, words: str) -> None:
        if kind not in self._warnings:
            self._warnings[kind] = f"{self._host} {words}"
            self._note(self._warnings[kind])

    def check_times(self, times_ns: Any, runs: int, elapsed_ns: int) -> tuple[int, ...]:
        """The times of `runs` runs. Raises DeviceError for times that cannot be.

        Each takes more than nothing, and all of them together no more than `elapsed_ns`, what passed here meanwhile.
        """
        times = tuple(times_ns) if isinstance(times_ns, list | tuple) else ()
        if len(times) != runs or any(isinstance(time, bool) or not isinstance(time, int) for time in times):
            raise DeviceError(f"{self._host} answered with {len(times)} times for {runs} runs; profile it again")
        if min(times) <= 0 or max(times) > _LONGEST_NS:
            self._refuse(f"a run of {min(times) if min(times) <= 0 else max(times)} ns")
        self._refuse_if_longer(sum(times), elapsed_ns)
        return times

    def check_layers(self, times: LayerTimes, runs: int, elapsed_ns: int) -> None:
        """Like `check_times`, for layers: single ones may be too short to count, all of them may not."""
        rows = len(times.times_ns)
        if rows not in (1, runs):
            raise DeviceError(f"{self._host} answered with {rows} rows for {runs} runs; profile it again")
        least = int(min(times.times_ns.min(initial=0), times.overhead_ns.min(initial=0)))
        if least < 0:
            self._refuse(f"a layer of {least} ns")
        total_ns = int(times.times_ns.sum())
        if total_ns == 0:
            self._refuse("0 ns for every layer")
        self._refuse_if_longer((total_ns + int(times.overhead_ns.sum())) * runs // rows, elapsed_ns)

    def _refuse_if_longer(self, total_ns: int, elapsed_ns: int) -> None:
        if total_ns > _SLACK * elapsed_ns + _SLACK_NS:
            self._refuse(f"{total_ns / 1e9:.3g} s of runs within {elapsed_ns / 1e9:.3g} s on this machine's clock")

    def _refuse(self, what: str) -> None:
        raise DeviceError(
            f"{self._host} reports absurd times ({what}); check its clock and runtime, then profile again"
        )


def _number(state: dict[str, Any], name: str) -> float | None:
    value = state.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        return None
    return float(value)
