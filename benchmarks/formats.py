"""One checkpoint in every format and precision that a CPU runs: does each answer like the trained network, and how fast?

    python benchmarks/formats.py --data LABELLED_PHOTOS --calibration PHOTOS [--checkpoint F] [--latency 12ms] [--out F]

Each file is exported as `facenas export` does it and put through the gates of `facenas verify` on its own target; int8
takes its ranges from `--calibration`. Beside the gates stand the operators that the runtime really computes in which
precision, and the latency of all files timed in turns, in one run, over that of ONNX Runtime in fp32. TensorFlow Lite
finds its faces in LiteRT on this CPU; its latency as predicted is that on the NPU, both by Vela. Exit code 1 where a gate
fails.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from facenas.exporters.artefact import Artefact
from facenas.exporters.calibration_photos import choose_calibration
from facenas.exporters.formats import FORMATS, ExportOptions, export_model
from facenas.exporters.onnx import onnx_of_checkpoint
from script import about_this_run, run_script

from facenas.checkpoint import load_checkpoint
from facenas.cli.bar import progress_bar
from facenas.cli.output import print_table
from facenas.devices.targets import resolve_target
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set
from facenas.evaluation.gates import VERDICTS, Gate, Tolerances
from facenas.evaluation.latency_check import check_latency
from facenas.evaluation.verification import Verification, verify
from facenas.files import write_json
from facenas.latency.this_machine import TableRequest, table_of_this_machine
from facenas.progress import Progress
from facenas.runtimes.runtime import load_model
from facenas.runtimes.timing import Latency, measure_latency
from facenas.units import LatencyBudget, Size, parse_latency_budget
from facenas.zoo import DEFAULT_NAME, checkpoint_path

INPUT = Size(640, 480)
_ROUNDS = 20
_NPU = "npu"
CASES = (
    ("onnx", "fp32"),
    ("onnx", "int8"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
    ("tflite", "int8"),
)


def main(
    data: Annotated[Path, typer.Option(help="labelled photos for the gates")],
    calibration: Annotated[Path, typer.Option(help="photos for the ranges of int8; not those of --data")],
    checkpoint: Annotated[Path, typer.Option(help="checkpoint.safetensors, or a name of the zoo")] = Path(DEFAULT_NAME),
    latency: Annotated[str, typer.Option(help="budget of every file, for example 12ms")] = "12ms",
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Export, time and prove."""
    checkpoint, budget = checkpoint_path(checkpoint), parse_latency_budget(latency)
    photos, chosen = load_evaluation_set(data), choose_calibration(calibration)
    model = onnx_of_checkpoint(load_checkpoint(checkpoint), input_size=None, dynamic=False)
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder, progress_bar() as progress:
        artefacts = {}
        for index, (file_format, precision) in enumerate(CASES):
            name = f"{file_format} {precision}"
            progress(index, len(CASES), f"exporting {name}")
            out_path = Path(folder, f"{precision}{FORMATS[file_format].suffix}")
            artefacts[name] = export_model(model, file_format, out_path, ExportOptions(precision, chosen))
        latencies = time_in_turns(artefacts, progress)
        proofs = {name: prove(each, checkpoint, photos, budget, progress) for name, each in artefacts.items()}
    rows = [row_of(name, artefacts[name], latencies[name], proofs[name]) for name in artefacts]
    if out is not None:
        write_json(out, about_this_run() | {"checkpoint": checkpoint.name, "data": photos.name, "formats": rows})
    show(rows, checkpoint.name)
    if not all(proof.passed for proof in proofs.values()):
        sys.exit(1)


def time_in_turns(artefacts: Mapping[str, Artefact], progress: Progress) -> dict[str, Latency]:
    """The latency of each file on its own target, all in one run."""
    models = [load_model(artefact.path, resolve_target(artefact.target)) for artefact in artefacts.values()]
    latencies = measure_latency(
        models,
        rounds=_ROUNDS,
        input_size=INPUT,
        progress=progress,
        what="timing in turns",
    )
    return dict(zip(artefacts, latencies, strict=True))


def prove(
    artefact: Artefact, reference: Path, photos: EvaluationSet, budget: LatencyBudget, progress: Progress
) -> Verification:
    """All gates; the latency of TensorFlow Lite is that on the NPU."""
    target = resolve_target(_NPU if artefact.format == "tflite" else artefact.target)
    table = table_of_this_machine(TableRequest(target, (INPUT,)), progress)
    check = check_latency(artefact.path, target, table, budget, progress)
    return verify(artefact.path, reference, photos, check, Tolerances(), progress)


def row_of(name: str, artefact: Artefact, latency: Latency, proof: Verification) -> dict[str, Any]:
    """Everything about one file, as plain values."""
    values = artefact.to_json()
    return {
        "name": name,
        **{key: values[key] for key in ("size_bytes", "runtime", "runtime_version", "target", "operators")},
        "latency_ms": round(latency.latency_ms, 3),
        "spread_ms": round(latency.spread_ms, 3),
        **{key: value for key, value in proof.to_json().items() if key in ("passed", "ap", "latency", "gates")},
    }


def show(rows: list[dict[str, Any]], name: str) -> None:
    """Two tables: the gates, and what is really computed how fast."""
    gates = [(row["name"], *(gate_text(Gate(**gate)) for gate in row["gates"])) for row in rows]
    heads = ("file", *(gate["name"] for gate in rows[0]["gates"]))
    print_table(f"{name}: gates", heads, gates)
    first_ms = rows[0]["latency_ms"]
    speeds = [
        (
            row["name"],
            f"{row['latency_ms']:.2f} ms",
            f"{first_ms / row['latency_ms']:.2f}",
            f"{row['size_bytes'] / 1e6:.2f} MB",
            ", ".join(f"{count} {kind}" for kind, count in row["operators"].items()),
        )
        for row in rows
    ]
    print_table("timed in turns on this CPU", ("file", "latency", "times fp32", "size", "operators"), speeds)


def gate_text(gate: Gate) -> str:
    """Verdict and value."""
    return VERDICTS[gate.passed] + ("" if gate.value is None else f" {gate.value:.3g}")


if __name__ == "__main__":
    run_script(main)
