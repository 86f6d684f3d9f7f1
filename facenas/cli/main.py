"""The `facenas` command: wires the verbs, and turns facenas' own errors into one line and an exit code."""

import sys

import typer

from facenas.cli.appraise import appraise
from facenas.cli.bench import bench
from facenas.cli.calibrate import calibrate
from facenas.cli.detect import detect
from facenas.cli.device import device
from facenas.cli.devices import devices
from facenas.cli.doctor import doctor
from facenas.cli.evaluate import evaluate
from facenas.cli.export import export
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

INTERRUPTED = 130

app = typer.Typer(
    help="Finds, trains, exports and proves face detectors for a given device and latency budget.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would double the start-up time
    pretty_exceptions_enable=False,
)
VERBS = (
    *(run, devices, profile, calibrate, predict, score, search, rank),
    *(train, slice, appraise, export, verify, evaluate, detect, bench, doctor),
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(device, name="device")
app.add_typer(report, name="report")


def main() -> None:
    """Run the command line. Exit codes: 0 done; 1 a gate failed or a budget cannot be met; 2 unusable words or input."""
    try:
        app()
    except FacenasError as error:
        print(f"facenas: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns Ctrl-C into this exit code without a word.
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        print(
            "facenas: stopped; finished work is kept; the same command goes on "
            "(train, rank, profile, appraise and search --algorithm evolution: with --resume)",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
