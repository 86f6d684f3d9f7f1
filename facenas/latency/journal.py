"""The journal of a profile: one JSON line for each visit to a network, synced, so that a kill loses at most one visit.

The first line says what is being profiled; a journal of another device, machine, space or plan is refused.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenas.errors import InputError
from facenas.runtimes.local_agent import Measurement


@dataclass(frozen=True)
class Visit:
    """What one visit gave: a sample, or the words of a failure (`sample` is then None)."""

    round: int
    network: str
    seconds: float
    sample: Measurement | None
    failure: str = ""


class Journal:
    """An append-only file of visits. `visits` holds those of an earlier, unfinished profile too."""

    def __init__(self, path: Path, plan: dict[str, Any], *, resume: bool) -> None:
        """Opens the journal at `path` for the profile that `plan` describes.

        Raises InputError where an unfinished profile lies there and `resume` is false, or where it has another plan.
        """
        self._path = path
        self.visits: list[Visit] = []
        if path.exists():
            lines = list(_whole_lines(path))
            if lines and not resume:
                raise InputError(
                    f"an unfinished profile lies in {path}; add --resume to continue it, or delete that file"
                )
            if lines and lines[0] != {"plan": plan}:
                raise InputError(f"{path} is of another profile ({_difference(lines[0], plan)}); delete that file")
            self.visits = [_visit_from_json(path, line) for line in lines[1:]]
        # Written anew without the half line that a kill may have left.
        self._write([{"plan": plan}, *map(_visit_to_json, self.visits)], "w")

    def add(self, visit: Visit) -> None:
        """Append a visit; when this returns it is on the disk. Raises InputError where the disk is full."""
        self._write([_visit_to_json(visit)], "a")
        self.visits.append(visit)

    def remove(self) -> None:
        """Delete the file, once what was measured has been written elsewhere."""
        self._path.unlink()

    def _write(self, values: list[dict[str, Any]], mode: str) -> None:
        target = self._path if mode == "a" else self._path.with_name(f"{self._path.name}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open(mode, encoding="utf-8") as file:
                file.writelines(json.dumps(value) + "\n" for value in values)
                file.flush()
                os.fsync(file.fileno())
            if mode == "w":
                target.replace(self._path)
        except OSError as error:
            raise InputError(
                f"cannot write {target}: {error.strerror}; what was measured is in {self._path}: "
                "free the disk and continue with --resume"
            ) from error


def _whole_lines(path: Path) -> Iterator[Any]:
    """The JSON values of all lines up to the first that was not written to its end."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the journal {path}: {error}; delete that file") from error
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _difference(line: Any, plan: dict[str, Any]) -> str:
    old = line.get("plan", {}) if isinstance(line, dict) else {}
    keys = [key for key in plan if old.get(key) != plan[key]]
    return ", ".join(f"{key}: {str(old.get(key))[:60]} there, {str(plan[key])[:60]} here" for key in keys)


def _visit_to_json(visit: Visit) -> dict[str, Any]:
    value: dict[str, Any] = {"round": visit.round, "network": visit.network, "seconds": round(visit.seconds, 3)}
    if visit.sample is None:
        return value | {"failure": visit.failure}
    return value | {
        "end_to_end_ns": visit.sample.end_to_end_ns,
        "layers_ns": visit.sample.layers_ns,
        "overhead_ns": visit.sample.overhead_ns,
        "reference_ns": visit.sample.reference_ns,
        "least_reference_ns": visit.sample.least_reference_ns,
    }


def _visit_from_json(path: Path, value: Any) -> Visit:
    try:
        sample = None
        if "failure" not in value:
            layers = {str(name): [int(time) for time in times] for name, times in value["layers_ns"].items()}
            end_to_end, overhead = tuple(map(int, value["end_to_end_ns"])), tuple(map(int, value["overhead_ns"]))
            references = int(value.get("reference_ns", 0)), int(value.get("least_reference_ns", 0))
            sample = Measurement(end_to_end, layers, overhead, 0.0, *references)
        return Visit(value["round"], value["network"], value["seconds"], sample, value.get("failure", ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the journal {path} holds a line that is no visit ({error}); delete that file") from error
