"""Fingerprint: everything that a latency on this machine depends on. Tables of different fingerprints do not mix."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from facenas.errors import TableError


@dataclass(frozen=True)
class Fingerprint:
    """`governor` is `unknown` where the system does not tell; `instruction_sets` are sorted Linux names."""

    cpu: str
    instruction_sets: tuple[str, ...]
    cores: int
    governor: str
    operating_system: str
    runtime: str
    runtime_version: str
    precision: str
    threads: int

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self) | {"instruction_sets": list(self.instruction_sets)}


def fingerprint_from_json(value: Any) -> Fingerprint:
    """The fingerprint that `to_json` gave. Raises TableError where a field is missing or of another type."""
    names = {field.name: field.type for field in fields(Fingerprint)}
    if not isinstance(value, dict) or set(value) != set(names):
        raise TableError(f"fingerprint must have exactly the fields {', '.join(names)}; profile the device again")
    for name, kind in names.items():
        expected = {str: str, int: int}.get(kind, list) if isinstance(kind, type) else list
        if not isinstance(value[name], expected) or isinstance(value[name], bool):
            raise TableError(f"fingerprint field '{name}' is {value[name]!r}; profile the device again")
    return Fingerprint(**(value | {"instruction_sets": tuple(map(str, value["instruction_sets"]))}))


def differences(table: Fingerprint, here: Fingerprint) -> tuple[str, ...]:
    """In words, each field in which the machine of a table and this one differ; empty where they agree."""
    found = []
    for field in fields(Fingerprint):
        then, now = getattr(table, field.name), getattr(here, field.name)
        if then != now:
            name = field.name.replace("_", " ")
            if isinstance(then, tuple):
                then, now = " ".join(sorted(set(then) - set(now))) or "none", " ".join(sorted(set(now) - set(then)))
                found.append(f"{name}: the table's only {then}, this machine's only {now or 'none'}")
            else:
                found.append(f"{name}: the table's {then}, this machine's {now}")
    return tuple(found)
