"""Profile: measure every operator of a search space on a device into a latency table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facenas.architecture import Architecture
from facenas.devices.host import transport_for
from facenas.devices.own_devices import add_command, load_devices
from facenas.devices.target import MODELLED_NAMES, Target
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.given import given_architecture
from facenas.latency import profiler
from facenas.latency.input_sizes import ALL_INPUTS, ESTIMATED_INPUTS
from facenas.latency.profile_plan import QUICK, Plan, default_plan
from facenas.latency.roofline import modelled_table
from facenas.latency.shipped import table_file_name
from facenas.latency.table import LatencyTable, save_table
from facenas.on_device.device_facts import state
from facenas.progress import SILENT, Progress
from facenas.quiet import Patience
from facenas.remote.device_state import StateWatch
from facenas.remote.remote_agent import RemoteAgent
from facenas.runtimes.local_agent import LocalAgent
from facenas.runtimes.runtime import runtime_of
from facenas.shown import Rows, Shown
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import load_space
from facenas.spaces.space import Space
from facenas.units import DEFAULT_INPUT, Size, as_size


@dataclass(frozen=True)
class ProfileSettings:
    """`host` and `python`: where a device elsewhere is (user@host, ssh://user@host:port, adb, adb:SERIAL) and its Python,
    by default as it was added; `also`: further architectures whose operators the table shall hold; `seconds`: how long to
    measure, beyond a least number of rounds (default: 240, of one input size 150); `resume`: go on with a profile that was
    stopped; `even_if_busy`: also keep what was measured beside other work; `quick`: a third of the networks, for a device
    that is lent for minutes."""

    host: str | None = None
    python: str | None = None
    also: Sequence[str | Architecture] = ()
    seconds: float | None = None
    resume: bool = False
    even_if_busy: bool = False
    quick: bool = False


@dataclass(frozen=True, repr=False)
class Profile(Shown):
    """A table that was measured or modelled, the file that holds it, and what the device warned of meanwhile."""

    table: LatencyTable
    path: Path
    warnings: tuple[str, ...] = ()

    def line(self) -> str:
        """How many operators, how right."""
        error = self.table.calibration.error_percent
        return f"{len(self.table.operators)} operators of {self.table.target}, mean error {error:.1f} %, in {self.path}"

    def shown(self) -> tuple[Rows, ...]:
        """One row."""
        calibration = self.table.calibration
        row = (
            f"{self.table.target} ({self.table.provenance})",
            str(len(self.table.operators)),
            f"{self.table.seconds:.0f}",
            f"{calibration.error_percent:.1f} % on {calibration.networks} networks, cross-validated",
            calibration.interval,
        )
        columns = ("target", "operators", "seconds", "mean error", "90 % interval")
        return (Rows(f"latency table {self.path}", columns, (row,)),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        return {
            "table": str(self.path),
            "operators": len(self.table.operators),
            "seconds": round(self.table.seconds, 1),
            "calibration_error_percent": round(self.table.calibration.error_percent, 3),
            "unstable_operators": self.table.unstable_operators,
            "failures": list(self.table.failures),
            "warnings": list(self.warnings),
        }


def profile(
    device: str,
    *,
    space: str | Sequence[str] = DEFAULT_SPACE,
    input_size: str | Size | None = None,
    out: Path | str | None = None,
    settings: ProfileSettings = ProfileSettings(),
    progress: Progress = SILENT,
) -> Profile:
    """Measure `device` (this machine's CPU takes about four minutes) and write its table to `out` (default: `table_path`).

    The table holds the operators of `space`, one or several; it is named after the first. It tells of all inputs from
    192x160 to 960x736 (`any`, the default), or of one. A device elsewhere is measured at 640x480 alone unless `any` is asked
    for, as each network has to be built there for each input.

    A device elsewhere gets an agent, run by its Python, and removed. A board that is not here is modelled from published
    figures. Raises InputError for unusable words, DeviceError where a device elsewhere fails, BusyMachineError where other
    work on this machine does not end.
    """
    target = resolve_target(device)
    every = input_size == "any" or (input_size is None and (not target.elsewhere or target.name in MODELLED_NAMES))
    size = ALL_INPUTS.home if every or input_size is None else as_size(input_size)
    others = (ESTIMATED_INPUTS if runtime_of(target).estimates else ALL_INPUTS).others if every else ()
    path = table_path(device, size) if out is None else _file(out, table_file_name(target, size))
    first, *spaces = map(load_space, dict.fromkeys([space] if isinstance(space, str) else space or [DEFAULT_SPACE]))
    further = tuple(given_architecture(text).architecture for text in settings.also)
    remote = _remote_agent(target, settings, progress)
    watch = StateWatch("this machine", progress.note)
    on_gpu_here = remote is None and runtime_of(target).on_gpu

    def report(done: int, total: int) -> None:
        if on_gpu_here:
            watch.see(state())
        progress(done, total, f"profiling {target}")

    if remote is None and target.name in MODELLED_NAMES:
        held = (*further, *(detector for other in spaces for detector in other.covering_detectors()))
        table = modelled_table(target, first, size, also=held, other_inputs=others)
        save_table(table, path)
    else:
        plan = _plan(target, others, further, tuple(spaces), settings)
        with remote or LocalAgent(target) as agent:
            table = profiler.profile(
                agent,
                first,
                size,
                path,
                plan=plan,
                resume=settings.resume,
                progress=report,
                patience=Patience(progress.note, judges=not settings.even_if_busy),
            )
    for failure in table.failures:
        progress.note(f"kept out: {failure}")
    if unstable := table.unstable_operators:
        progress.note(f"{unstable} of {len(table.operators)} operators are flagged unstable: the machine is busy")
    return Profile(table, path, watch.warnings if remote is None else tuple(remote.warnings))


def _file(out: Path | str, usual_name: str) -> Path:
    """Where the table goes. Raises InputError for a folder, which would be found minutes later."""
    path = Path(out)
    if path.is_dir():
        raise InputError(f"--out {path} is a folder, and the table is one file; give {path / usual_name}")
    return path


def _plan(
    target: Target,
    other_inputs: tuple[Size, ...],
    also: tuple[Architecture, ...],
    further_spaces: tuple[Space, ...],
    settings: ProfileSettings,
) -> Plan:
    """How much to measure, as the settings say."""
    plan = default_plan(target, other_inputs)
    if settings.quick:
        plan = replace(QUICK, other_inputs=other_inputs, counters=plan.counters)
    seconds = plan.seconds if settings.seconds is None else settings.seconds
    return replace(plan, also=also, further_spaces=further_spaces, seconds=seconds)


def table_path(device: str, input_size: str | Size = DEFAULT_INPUT) -> Path:
    """Where the table of a device is written by default, and looked for."""
    return Path("latency_tables", table_file_name(resolve_target(device), as_size(input_size)))


def _remote_agent(target: Target, settings: ProfileSettings, progress: Progress) -> RemoteAgent | None:
    """The agent on the host given or kept for the target; None where it is this machine's. Raises InputError."""
    kept = load_devices().get(target.name) if target.elsewhere else None
    host = settings.host or (kept.host if kept else None)
    python = settings.python or (kept.python if kept else "python3")
    if host is not None:
        if not target.elsewhere and host != "local":
            raise InputError(
                f"device '{target}' is this machine's, and its table would be of {host}; give that one a name: "
                + add_command(target, "NAME", host)
            )
        return RemoteAgent(target, transport_for(host), python=python, note=progress.note)
    if target.elsewhere:
        raise InputError(
            f"device '{target}' is elsewhere; say where: --host user@host, or for good: {add_command(target)}"
        )
    return None
