"""Rooms stand on floors, and a room imports only what stands on lower floors: so no two rooms need each other.

A room is a package or a file of the package's root. Imports within functions and for types count like any other.
"""

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import facenas

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (  # the ground first; rooms of one floor do not know each other
    ("errors", "version", "telemetry", "cgroup", "shown", "progress", "arrays"),
    ("units", "files", "locks", "quiet", "on_device", "browser"),
    ("typed_json", "line_journal"),
    ("architecture", "operators"),
    ("graph",),
    ("cost", "checkpoint", "zoo", "data", "latency_tables"),
    ("spaces", "devices"),
    ("pipeline",),
    ("exporters",),
    ("given",),
    ("runtimes",),
    ("remote",),
    ("latency",),
    ("detector",),
    ("networks",),
    ("scoring",),
    ("evaluation",),
    ("accuracy",),
    ("searching",),
    ("training",),
    ("ranking",),
    ("run_folder",),
    ("bench",),
    ("report",),
    ("steps",),
    ("cli",),
    ("facenas",),
)
WITH_TORCH = ("networks", "training", "ranking", "scoring/zero_cost.py", "runtimes/torch_cuda.py")
_MODULE = re.compile(r"facenas(?:\.[a-z_]\w*)+")


class Import(NamedTuple):
    """One name that a file imports: `path` is the file's within the package, `module` and `name` what it asks for."""

    path: str
    line: int
    module: str
    name: str


def sources() -> dict[str, Path]:
    """Each source file by its path within the package."""
    folders = {"": ROOT / "facenas", "exporters/": ROOT / "exporters", "latency_tables/": ROOT / "latency_tables"}
    return {
        f"{prefix}{path.relative_to(folder).as_posix()}": path
        for prefix, folder in folders.items()
        for path in sorted(folder.rglob("*.py"))
    }


SOURCES = sources()


def imports_of(path: str) -> Iterator[Import]:
    """Every import statement of a file, wherever it stands."""
    for node in ast.walk(ast.parse(SOURCES[path].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write imports in full"
            for alias in node.names:
                yield Import(path, node.lineno, node.module or "", alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, "")


IMPORTS = [entry for path in SOURCES for entry in imports_of(path)]


def file_of(entry: Import) -> str | None:
    """The file of facenas that an import reads, or None for another package's."""
    if entry.module.partition(".")[0] != "facenas":
        return None
    place = "/".join(entry.module.split(".")[1:])
    candidates = (f"{place}/{entry.name}.py", f"{place}.py", f"{place}/__init__.py")
    return next(path for path in (candidate.lstrip("/") for candidate in candidates) if path in SOURCES)


def room_of(path: str) -> str:
    room = path.partition("/")[0].removesuffix(".py")
    return "facenas" if room in ("__init__", "__main__") else room


def floor_of(room: str) -> int:
    return next(floor for floor, rooms in enumerate(FLOORS) if room in rooms)


def upward_imports() -> Iterator[str]:
    """What a file imports from a floor that is not below its own, in words."""
    for entry in IMPORTS:
        target = file_of(entry)
        if target is None or room_of(target) == room_of(entry.path):
            continue
        here, there = floor_of(room_of(entry.path)), floor_of(room_of(target))
        if there >= here:
            yield (
                f"{entry.path}:{entry.line}: {room_of(entry.path)} (floor {here}) imports {room_of(target)} "
                f"(floor {there}): {entry.name}"
            )


def test_imports_go_down() -> None:
    found = list(upward_imports())
    assert not found


def test_each_room_is_on_one_floor_and_installed() -> None:
    rooms = [room for floor in FLOORS for room in floor]
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == {room_of(path) for path in SOURCES}
    packages = {"facenas", *(f"facenas.{path.partition('/')[0]}" for path in SOURCES if "/" in path)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["packages"] == sorted(packages)


def test_the_page_of_the_architecture_shows_the_floors() -> None:
    """Read as a text, from the top, its picture goes down from floor to floor."""
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[1].strip()
    columns = [re.split(r"\s{2,}", line) for line in picture.splitlines()]
    floors = [floor_of(room) for line in columns for room in line[:-1]]
    assert floors == sorted(floors, reverse=True)
    assert len(floors) > 20


def test_no_two_files_need_each_other() -> None:
    needs: dict[str, set[str]] = {path: set() for path in SOURCES}
    for entry in IMPORTS:
        target = file_of(entry)
        if target is not None and target != entry.path:
            needs[entry.path].add(target)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_some_rooms_import_torch() -> None:
    found = {entry.path for entry in IMPORTS if entry.module.partition(".")[0] == "torch"}
    assert found
    assert not [path for path in found if not {path, room_of(path)} & set(WITH_TORCH)]


def test_what_runs_on_devices_needs_nothing_else_of_facenas() -> None:
    targets = filter(None, (file_of(entry) for entry in IMPORTS if room_of(entry.path) == "on_device"))
    assert {room_of(target) for target in targets} == {"on_device"}


def test_the_product_knows_neither_tests_nor_benchmarks() -> None:
    assert not [entry for entry in IMPORTS if entry.module.partition(".")[0] in ("tests", "benchmarks")]


def texts() -> dict[str, str]:
    """What may name modules: the sources, and the pages."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]
    pages += sorted((ROOT / "docs").glob("**/*.md")) + sorted((ROOT / "benchmarks").glob("*.py"))
    found = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in pages}
    return found | {path: source.read_text(encoding="utf-8") for path, source in SOURCES.items()}


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module of facenas, a name within one, or one of the package's own names."""
    head, _, last = dotted.rpartition(".")
    if head == "facenas":
        return importlib.util.find_spec(dotted) is not None or last in (*facenas.__all__, "onnx")
    try:
        return hasattr(importlib.import_module(head), last) or importlib.util.find_spec(dotted) is not None
    except ModuleNotFoundError:
        return False


def test_modules_that_texts_name_exist() -> None:
    others = ("facenas.yml", "facenas.js", "facenas.runtimes.toy")  # files of other kinds, and docs/runtimes.md's
    named = {(place, name) for place, text in texts().items() for name in _MODULE.findall(text) if name not in others}
    missing = [f"{place}: {name}" for place, name in sorted(named) if not exists(name)]
    assert not missing
