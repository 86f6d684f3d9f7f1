"""The folder of benchmarks: one Python file a question, each with one function that says what is timed.

    def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:

By name, a callable without arguments that does the work once; whatever it needs is made ready before it is returned.
`quick` asks for what continuous integration can wait for: the same names, less work where the work is long. A file may
also have

    def figures(quick: bool) -> Mapping[str, float]:

numbers that are no durations (an error in percent, say): they are kept in the record and shown, but no gate rests on
them. Files with neither function are scripts of their own and passed over.
"""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from facenas.errors import InputError

Workload = Callable[[], object]
_CHECKOUT = Path(__file__).resolve().parents[2]


def benchmarks_folder(given: Path | None) -> Path:
    """The folder asked for, else `benchmarks` in the current folder, else the one of this checkout.

    Raises InputError where there is none.
    """
    places = [given] if given is not None else [Path("benchmarks"), _CHECKOUT / "benchmarks"]
    for place in places:
        if place.is_dir() and any(place.glob("*.py")):
            return place.resolve()
    raise InputError(
        f"no benchmarks in {places[0]}; run in a checkout of facenas, or give its folder with --benchmarks"
    )


def load_benchmark(folder: Path, name: str) -> ModuleType:
    """The file `name`.py of the folder as a module; its neighbours can be imported by name, as when it runs as a script."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module(name)


def _benchmarks(folder: Path, function: str) -> Iterator[ModuleType]:
    for path in sorted(folder.glob("*.py")):
        # Scripts need not be imported to be passed over; a method of that name is none of a benchmark's.
        if re.search(rf"^def {function}\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            yield load_benchmark(folder, path.stem)


def all_workloads(folder: Path, quick: bool, only: str = "") -> dict[str, Workload]:
    """Every workload of the folder whose name contains `only`. Raises InputError where two files use one name."""
    found: dict[str, Workload] = {}
    for module in _benchmarks(folder, "workloads"):
        offered: Mapping[str, Workload] = module.workloads(quick)
        for name, workload in offered.items():
            if name in found:
                raise InputError(f"two benchmarks are called '{name}', one in {module.__name__}.py; rename one")
            found[name] = workload
    return {name: workload for name, workload in found.items() if only in name}


def all_figures(folder: Path, quick: bool) -> dict[str, float]:
    """Every figure of the folder, by name."""
    return {name: value for module in _benchmarks(folder, "figures") for name, value in module.figures(quick).items()}
