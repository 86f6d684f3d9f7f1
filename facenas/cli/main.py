"""The `facenas` command: wires the verbs, and turns facenas' own errors into one line and an exit code."""

import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from facenas.cli.appraise import appraise
from facenas.cli.bench import bench
from facenas.cli.calibrate import calibrate
from facenas.cli.compare import compare
from facenas.cli.detect import detect
from facenas.cli.device import add, remove
from facenas.cli.devices import devices
from facenas.cli.doctor import doctor
from facenas.cli.evaluate import evaluate
from facenas.cli.export import export
from facenas.cli.label import label
from facenas.cli.output import note, take_any_character, tell
from facenas.cli.pack import pack
from facenas.cli.photos import photos
from facenas.cli.predict import predict
from facenas.cli.profile import profile
from facenas.cli.rank import rank
from facenas.cli.report import report_run, report_table
from facenas.cli.run import run
from facenas.cli.score import score
from facenas.cli.search import search
from facenas.cli.slice import slice
from facenas.cli.train import train
from facenas.cli.verbosity import QuietOption, VerboseOption, asked_verbose, quiet, tell_versions, with_verbosity
from facenas.cli.verify import verify
from facenas.errors import FacenasError
from facenas.version import __version__

INTERRUPTED, TERMINATED = 130, 143

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Whole:
    """Lists commands with the first sentence of their help, however long; the help is wrapped, not cut off."""

    help: str | None

    def get_short_help_str(self, limit: int = 0) -> str:
        sentence, stop, _ = " ".join((self.help or "").split("\n\n")[0].split()).partition(". ")
        return sentence + stop.strip()


class _Verb(_Whole, TyperCommand):
    pass


class _Verbs(_Whole, TyperGroup):
    pass


app = typer.Typer(
    help="Finds, trains, exports and proves face detectors for a given device and latency budget.",
    cls=_Verbs,
    context_settings=CONTEXT,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: rich would double the start-up time
    pretty_exceptions_enable=False,
)
VERBS = (
    *(run, devices, profile, calibrate, predict, score, search, rank),
    *(photos, label, pack, train, slice, appraise, export, compare, verify, evaluate, detect, bench, doctor),
)
for verb in VERBS:
    app.command(cls=_Verb, context_settings=CONTEXT)(with_verbosity(verb))
GROUPS: dict[str, tuple[str, dict[str, Callable[..., None]]]] = {
    "device": ("Keep, list or forget a device of your own.", {"list": devices, "add": add, "remove": remove}),
    "report": ("Write a page about what was measured.", {"table": report_table, "run": report_run}),
}
for name, (words, verbs) in GROUPS.items():
    group = typer.Typer(help=words, no_args_is_help=True, rich_markup_mode=None, add_completion=False)
    for verb_name, each in verbs.items():
        group.command(verb_name, cls=_Verb, context_settings=CONTEXT)(with_verbosity(each))
    app.add_typer(group, name=name, cls=_Verbs, context_settings=CONTEXT)


def _say_version(wanted: bool) -> None:
    if wanted:
        tell(f"facenas {__version__}")
        raise typer.Exit


@app.callback()
def _facenas(
    context: typer.Context,
    quiet_asked: QuietOption = False,
    verbose: VerboseOption = False,
    version: Annotated[
        bool, typer.Option("-V", "--version", help="print the version", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    if quiet_asked and not verbose:
        context.with_resource(quiet())


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 a gate failed or a budget cannot be met; 2 unusable words or input; 130 and
    143 stopped by Ctrl-C or SIGTERM; 141 nobody reads its output any more."""
    take_any_character()
    verbose = asked_verbose(sys.argv[1:])
    if verbose:
        tell_versions()
    else:
        warnings.filterwarnings("ignore")  # of libraries, with paths of theirs
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except FacenasError as error:
        if verbose:
            traceback.print_exc()
        note(f"facenas: {error}")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns Ctrl-C into this exit code without a word.
        if isinstance(end, SystemExit) and end.code not in (INTERRUPTED, TERMINATED):
            raise
        note(
            "facenas: stopped; finished work is kept; the same command goes on "
            "(train, rank, profile, label, appraise and search --algorithm evolution: with --resume)"
        )
        sys.exit(TERMINATED if isinstance(end, SystemExit) and end.code == TERMINATED else INTERRUPTED)
    except (OSError, MemoryError, RecursionError) as error:  # what the system refuses where nobody thought of it
        note(f"facenas: {_refusal(error)}")
        sys.exit(FacenasError.exit_code)


def _terminate(_number: int, _frame: object) -> None:
    sys.exit(TERMINATED)


def _refusal(error: BaseException) -> str:
    if isinstance(error, OSError):
        place = f" {error.filename}" if error.filename else ""
        return f"the system refuses{place}: {error.strerror or error}; check the path, its permissions and the disk"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; give it less, or smaller files"
    return "something that was given is nested too deeply; give a simpler one"


if __name__ == "__main__":
    main()
