"""One checkpoint in every format and precision that this machine runs: does each answer like the trained network, and how fast?

    python benchmarks/formats.py --data LABELLED_PHOTOS --calibration PHOTOS [--checkpoint F] [--latency 12ms] [--out F]

A call of `facenas compare`, with the NPU's estimate beside; the JSON file also says of which commit it is. Exit code 1 where
a gate fails.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from script import about_this_run, run_script

from facenas.cli.bar import progress_bar
from facenas.cli.output import print_result, tell
from facenas.devices.target import NAMED_TARGETS
from facenas.files import write_json
from facenas.runtimes.runtime import runtime_of, why_unavailable
from facenas.steps.compare import CompareSettings, compare
from facenas.steps.export import ExportSettings
from facenas.zoo import DEFAULT_NAME

_NPU = "npu"


def main(
    data: Annotated[Path, typer.Option(help="labelled photos for the gates")],
    calibration: Annotated[Path, typer.Option(help="photos for the ranges of int8; not those of --data")],
    checkpoint: Annotated[Path, typer.Option(help="checkpoint.safetensors, or a name of the zoo")] = Path(DEFAULT_NAME),
    latency: Annotated[str, typer.Option(help="budget of every file, for example 12ms")] = "12ms",
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Export, time and prove."""
    devices = [
        target.name
        for target in NAMED_TARGETS
        if target.precision in runtime_of(target).formats
        and why_unavailable(target) is None
        and (not runtime_of(target).estimates or target.name == _NPU)
    ]
    settings = CompareSettings(ExportSettings(calibration=calibration))
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder, progress_bar() as progress:
        comparison = compare(
            checkpoint, data, devices=devices, latency=latency, settings=settings, out=folder, progress=progress
        )
    if out is not None:
        write_json(out, comparison.to_json() | about_this_run())
    print_result(comparison, as_json=False)
    tell(comparison.line())
    if not all(each.passed for each in comparison.results):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
