"""-q and -v, which every verb takes: less on stderr, or more.

-q leaves errors and the result; -v names the versions first, lets warnings of libraries through and shows where an error was
raised.
"""

import functools
import inspect
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Annotated, Any

import typer

from facenas.cli.output import note
from facenas.version import __version__

QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="errors only on stderr, no progress")]
VerboseOption = Annotated[
    bool, typer.Option("-v", "--verbose", help="versions, warnings of libraries, and where an error was raised")
]


def asked_verbose(words: list[str]) -> bool:
    """Whether -v stands among the words of a command line."""
    return not {"-v", "--verbose"}.isdisjoint(words)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that is written to stderr within is seen."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        yield


def tell_versions() -> None:
    """Versions that a report of a fault needs, and from now on the warnings of libraries."""
    warnings.resetwarnings()
    note(f"facenas {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")


def with_verbosity(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the options -q and -v."""

    @functools.wraps(verb)
    def run(*, quiet_asked: bool, verbose: bool, **given: Any) -> None:
        with quiet() if quiet_asked and not verbose else nullcontext():
            verb(**given)

    loudness = {"quiet_asked": QuietOption, "verbose": VerboseOption}
    signature = inspect.signature(verb)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in loudness.items()
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    run.__annotations__ = {**inspect.get_annotations(verb), **loudness}
    return run
