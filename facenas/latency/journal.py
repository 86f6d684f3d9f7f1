"""The journal of a profile: one line for each visit to a network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenas.errors import InputError
from facenas.line_journal import LineJournal
from facenas.runtimes.local_agent import Measurement


@dataclass(frozen=True)
class Visit:
    """What one visit gave: a sample, or the words of a failure (`sample` is then None), which may be a `passing` one."""

    round: int
    network: str
    seconds: float
    sample: Measurement | None
    failure: str = ""
    passing: bool = False


class Journal(LineJournal):
    """`visits` holds those of an earlier, unfinished profile too."""

    def __init__(self, path: Path, plan: dict[str, Any], *, resume: bool) -> None:
        """Opens the journal at `path` for the profile that `plan` describes, as `LineJournal` does."""
        super().__init__(path, plan, "profile", resume=resume)
        self.visits = [_visit_from_json(path, line) for line in self.entries]

    def add(self, visit: Visit) -> None:
        """Append a visit; when this returns it is on the disk. Raises InputError where the disk is full."""
        self.append(_visit_to_json(visit))
        self.visits.append(visit)


def _visit_to_json(visit: Visit) -> dict[str, Any]:
    value: dict[str, Any] = {"round": visit.round, "network": visit.network, "seconds": round(visit.seconds, 3)}
    if visit.sample is None:
        return value | {"failure": visit.failure} | ({"passing": True} if visit.passing else {})
    return value | {
        "end_to_end_ns": visit.sample.end_to_end_ns,
        "layers_ns": visit.sample.layers_ns,
        "overhead_ns": visit.sample.overhead_ns,
        "companion_ns": visit.sample.companion_ns,
    }


def _visit_from_json(path: Path, value: Any) -> Visit:
    try:
        sample = None
        if "failure" not in value:
            layers = {str(name): [int(time) for time in times] for name, times in value["layers_ns"].items()}
            end_to_end, overhead = tuple(map(int, value["end_to_end_ns"])), tuple(map(int, value["overhead_ns"]))
            sample = Measurement(end_to_end, layers, overhead, 0.0, int(value.get("companion_ns", 0)))
        seconds, failure = float(value["seconds"]), value.get("failure", "")
        passing = value.get("passing") is True
        if type(value["round"]) is not int or not isinstance(value["network"], str) or not isinstance(failure, str):
            raise ValueError("of other kinds of values")
        return Visit(value["round"], value["network"], seconds, sample, failure, passing)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"the journal {path} holds a line that is no visit ({error}); delete that file") from error
