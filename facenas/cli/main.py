"""The `facenas` command: wires the verbs, and turns facenas' own errors into one line and an exit code."""

import signal
import sys
import threading
import warnings

import typer

from facenas.cli.appraise import appraise
from facenas.cli.bench import bench
from facenas.cli.calibrate import calibrate
from facenas.cli.compare import compare
from facenas.cli.detect import detect
from facenas.cli.device import device
from facenas.cli.devices import devices
from facenas.cli.doctor import doctor
from facenas.cli.evaluate import evaluate
from facenas.cli.export import export
from facenas.cli.output import note, take_any_character
from facenas.cli.pack import pack
from facenas.cli.predict import predict
from facenas.cli.profile import profile
from facenas.cli.rank import rank
from facenas.cli.report import report
from facenas.cli.run import run
from facenas.cli.score import score
from facenas.cli.search import search
from facenas.cli.slice import slice
from facenas.cli.train import train
from facenas.cli.verify import verify
from facenas.errors import FacenasError

INTERRUPTED, TERMINATED = 130, 143

app = typer.Typer(
    help="Finds, trains, exports and proves face detectors for a given device and latency budget.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would double the start-up time
    pretty_exceptions_enable=False,
)
VERBS = (
    *(run, devices, profile, calibrate, predict, score, search, rank),
    *(pack, train, slice, appraise, export, compare, verify, evaluate, detect, bench, doctor),
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(device, name="device")
app.add_typer(report, name="report")


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 a gate failed or a budget cannot be met; 2 unusable words or input; 130 and
    143 stopped by Ctrl-C or SIGTERM; 141 nobody reads its output any more."""
    take_any_character()
    warnings.filterwarnings("ignore")  # of libraries, with paths of theirs
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except FacenasError as error:
        note(f"facenas: {error}")
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns Ctrl-C into this exit code without a word.
        if isinstance(end, SystemExit) and end.code not in (INTERRUPTED, TERMINATED):
            raise
        note(
            "facenas: stopped; finished work is kept; the same command goes on "
            "(train, rank, profile, appraise and search --algorithm evolution: with --resume)"
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
