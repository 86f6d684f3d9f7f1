"""The latency table of a target for this machine: the one rule for all that speaks of milliseconds.

A short profile that was made here goes first (facenas/latency/short_profile.py). Without one, a table of this kind of
machine (an equal fingerprint) that reaches all operators asked for is taken as it is: it was measured for minutes. Any
other is evidence beside a short profile, made once, at the first need, and kept. Boards that are elsewhere, modelled or
estimated have their own tables, which no measurement here could mend.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from facenas.architecture import Architecture
from facenas.devices.fingerprint import Fingerprint, differences
from facenas.devices.target import Target
from facenas.devices.targets import resolve_target
from facenas.errors import BusyMachineError, InputError, TableError
from facenas.graph import inventory
from facenas.latency.input_sizes import ALL_INPUTS, Inputs
from facenas.latency.kept import keep, kept_path, load_kept, one_at_a_time
from facenas.latency.predictor import OperatorCosts
from facenas.latency.provenance import TableFacts, facts_of
from facenas.latency.short_profile import ShortPlan, short_profile
from facenas.latency.table import LatencyTable, find_table
from facenas.progress import SILENT, Progress
from facenas.quiet import Patience
from facenas.runtimes.runtime import read_fingerprint, require_available, runtime_of, why_unavailable
from facenas.spaces import DEFAULT_SPACE
from facenas.spaces.named import SPACE_NAMES, load_space
from facenas.spaces.space import Space
from facenas.units import DEFAULT_INPUT, LOW_PERCENTILE, Size

_NO = ("0", "false", "n", "no", "off")


class Calibrate(StrEnum):
    """Whether a table is made this machine's: where it is needed and has not been done (never, where FACENAS_CALIBRATE is
    no), anew, or never."""

    ONCE = "once"
    ANEW = "anew"
    NEVER = "never"


def is_measured_here(target: Target) -> bool:
    """Whether a target's latency can be measured on this machine, so that it can have a short profile."""
    return not runtime_of(target).estimates and not target.elsewhere and why_unavailable(target) is None


@dataclass(frozen=True)
class TableRequest:
    """Which table is wanted, for all of `input_sizes`: the one at `path`, else the one in ./latency_tables, else the one that
    ships.

    `subject`: the space that is searched or the detector that is predicted. Measured here are the operators of that space,
    or of one that holds the detector where the table lacks some of its, else of the table's own. `percentile` of the runs
    that the table must tell.
    """

    target: Target
    input_sizes: tuple[Size, ...]
    subject: Space | Architecture | None = None
    path: Path | None = None
    percentile: int = LOW_PERCENTILE
    calibrate: Calibrate = Calibrate.ONCE

    @property
    def words(self) -> str:
        """The sizes for a person; of many the first and the last."""
        if len(self.input_sizes) > 3:
            return f"{self.input_sizes[0]} to {self.input_sizes[-1]}"
        return ", ".join(map(str, self.input_sizes))


def table_of_this_machine(
    request: TableRequest,
    progress: Progress = SILENT,
    measure: Callable[..., LatencyTable] = short_profile,
) -> LatencyTable:
    """The table that is asked for, made this machine's. Where there is none at all, the short profile is made without.

    Raises TableError where there is no table and none can be made, InputError or MissingPackageError where one is to be
    made anew that cannot be measured here, BusyMachineError where other work on the machine does not end.
    """
    target, once = request.target, request.calibrate is Calibrate.ONCE
    never = request.calibrate is Calibrate.NEVER or (once and os.environ.get("FACENAS_CALIBRATE", "").lower() in _NO)
    if request.calibrate is Calibrate.ANEW:
        _require_measured_here(target)
    here = read_fingerprint(target) if is_measured_here(target) else None
    prior: LatencyTable | None
    try:
        prior, reaches = _find(request), True
    except TableError:
        if here is None or never or request.path is not None:
            raise
        prior, reaches = _beside(target), False
    if here is None or never:
        assert prior is not None
        return prior
    wanted, inputs = _wanted(request, prior), _inputs(request)
    space = wanted or _space_of(prior)
    place = kept_path(target.name, here, space, inputs.home, prior)
    if once and (kept := load_kept(place, here, progress.note)) is not None:
        return kept
    if once and prior is not None and reaches and _is_enough(prior, here, request, wanted):
        return prior
    with one_at_a_time(place, progress.note):
        if once and (kept := load_kept(place, here, progress.note)) is not None:
            return kept  # another process has made it meanwhile
        why = _why(prior, here) if prior is not None and reaches else f"there is no table for input {request.words}"
        progress.note(f"{target}: {why}; measuring on this machine, once, in about a minute or less")
        try:
            table = measure(
                target,
                space,
                inputs.home,
                prior if prior is not None and prior.input_size == inputs.home else None,
                plan=ShortPlan(other_inputs=inputs.others),
                patience=Patience(progress.note),
                progress=lambda done, total: progress(done, total, f"calibrating {target}"),
            )
        except BusyMachineError as error:
            if prior is None:
                raise
            words = f"--no-calibrate takes the table of {prior.fingerprint.cpu} as it is, for {prior.inputs}"
            raise BusyMachineError(f"{error}; {words}") from error
        keep(place, table, progress.note)
    return table


def _require_measured_here(target: Target) -> None:
    """Raises InputError or MissingPackageError where there is nothing to measure on this machine."""
    require_available(target)
    if not is_measured_here(target):
        raise InputError(f"device '{target}' is not measured on this machine, so there is nothing to calibrate")


def table_as_known(request: TableRequest) -> LatencyTable:
    """The table that is asked for, as far as it was made this machine's before; nothing is measured. Raises TableError."""
    prior = _find(request)
    here = read_fingerprint(request.target) if is_measured_here(request.target) else None
    if here is None:
        return prior
    space = _wanted(request, prior) or _space_of(prior)
    place = kept_path(request.target.name, here, space, _inputs(request).home, prior)
    return load_kept(place, here, lambda line: None) or prior


def _find(request: TableRequest) -> LatencyTable:
    """The table that covers all sizes. Raises TableError where there is none."""
    tables = [find_table(request.target, size, request.path) for size in request.input_sizes]
    covering = (table for table in tables if all(map(table.inputs.covers, request.input_sizes)))
    found = next(covering, None)
    if found is None:
        raise TableError(f"no one latency table for device {request.target.name} covers inputs {request.words}")
    return found


def _beside(target: Target) -> LatencyTable | None:
    """The table that is evidence beside a short profile where none covers the inputs asked for."""
    try:
        return find_table(target, DEFAULT_INPUT)
    except TableError:
        return None


def _inputs(request: TableRequest) -> Inputs:
    """What to measure: all inputs where these cover what is asked for, else the one alone."""
    if all(map(ALL_INPUTS.covers, request.input_sizes)):
        return ALL_INPUTS
    if len(request.input_sizes) > 1:
        raise TableError(
            f"inputs {request.words} are not all within {ALL_INPUTS}; ask for sizes within, or for one alone"
        )
    return Inputs(request.input_sizes[0])


def _wanted(request: TableRequest, prior: LatencyTable | None) -> Space | None:
    """The space whose operators are asked for: the one that is searched, or for a detector with operators that the table
    lacks one that holds it, so that it is predicted as it was searched; None where any will do."""
    detector = request.subject
    if detector is None or isinstance(detector, Space):
        return detector
    home = DEFAULT_INPUT if prior is None else prior.input_size
    if prior is not None and prior.operators.keys() >= set(inventory(detector, home)):
        return None
    return next((space for space in map(load_space, SPACE_NAMES) if space.holds(detector)), None)


def _space_of(table: LatencyTable | None) -> Space:
    """The space that a table was made for; the default one where there is no table, or where its space is a file's."""
    name = DEFAULT_SPACE if table is None else table.space
    return load_space(name if name in SPACE_NAMES else DEFAULT_SPACE)


def _why(prior: LatencyTable, here: Fingerprint) -> str:
    """Why a table does not do."""
    found = differences(prior.fingerprint, here)
    if found:
        return f"the table is of another machine ({'; '.join(found)})"
    return f"the table is of this kind of machine, of the operators of space {prior.space}"


def _is_enough(table: LatencyTable, here: Fingerprint, request: TableRequest, wanted: Space | None) -> bool:
    """Whether a table is of this kind of machine, tells the percentile that is asked for, and reaches all operators without
    any that was carried over."""
    if not table.tells(request.percentile) or differences(table.fingerprint, here):
        return False
    costs = OperatorCosts(table)
    return wanted is None or costs.reaches(wanted.operators(table.input_size), measured=True)


def facts_of_table(table: LatencyTable) -> TableFacts:
    """What must be said of a table on this machine."""
    target = resolve_target(table.target)
    return facts_of(table, read_fingerprint(target) if is_measured_here(target) else None)
