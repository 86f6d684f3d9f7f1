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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer
from facenas.exporters.artefact import Artefact
from facenas.exporters.calibration import Calibration, choose_calibration
from facenas.exporters.onnx import export_onnx, onnx_of_checkpoint
from facenas.exporters.openvino import export_openvino
from facenas.exporters.quantize import quantize_model
from facenas.exporters.tflite import export_tflite

from facenas.bench.record import new_record
from facenas.cli.output import print_table
from facenas.cli.progress import progress_bar
from facenas.devices.runtimes import load_model
from facenas.devices.targets import Target, resolve_target
from facenas.errors import FacenasError, TableError
from facenas.evaluation.evaluation_set import EvaluationSet, load_evaluation_set
from facenas.evaluation.gates import Gate, Limits
from facenas.evaluation.latency_check import check_latency
from facenas.evaluation.verify import Verification, verify
from facenas.files import write_json
from facenas.latency.measure import Latency, measure_latency
from facenas.latency.table import LatencyTable, find_table
from facenas.training.checkpoint import load_checkpoint
from facenas.units import Size, parse_latency_ms
from facenas.zoo import zoo_model

_ROUNDS = 20
_NPU = "npu"
_VERDICTS = {True: "passed", False: "FAILED", None: "not measured"}

Export = Callable[[onnx.ModelProto, Calibration, Path], Artefact]

EXPORTS: Mapping[str, Export] = {
    "onnx fp32": lambda model, _, folder: export_onnx(model, folder / "fp32.onnx"),
    "onnx int8": lambda model, photos, folder: export_onnx(quantize_model(model, photos), folder / "int8.onnx"),
    "openvino fp32": lambda model, _, folder: export_openvino(model, folder / "fp32.xml", precision="fp32"),
    "openvino bf16": lambda model, _, folder: export_openvino(model, folder / "bf16.xml", precision="bf16"),
    "openvino int8": lambda model, photos, folder: export_openvino(
        model, folder / "int8.xml", precision="int8", calibration=photos
    ),
    "tflite int8": lambda model, photos, folder: export_tflite(model, folder / "int8.tflite", photos),
}


def main(
    data: Annotated[Path, typer.Option(help="labelled photos for the gates")],
    calibration: Annotated[Path, typer.Option(help="photos for the ranges of int8; not those of --data")],
    checkpoint: Annotated[Path | None, typer.Option(help="checkpoint.safetensors (default: the shipped one)")] = None,
    latency: Annotated[str, typer.Option(help="budget for every file, for example 12ms")] = "12ms",
    npu_latency: Annotated[str, typer.Option(help="budget on the NPU")] = "12ms",
    out: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Export, time and prove."""
    checkpoint = checkpoint or zoo_model().with_suffix(".safetensors")
    budgets_ms = {True: parse_latency_ms(npu_latency), False: parse_latency_ms(latency)}
    photos, chosen = load_evaluation_set(data), choose_calibration(calibration)
    model = onnx_of_checkpoint(load_checkpoint(checkpoint), input_size=None, dynamic=False)
    with tempfile.TemporaryDirectory(prefix="facenas-") as folder, progress_bar() as report:
        artefacts = {}
        for index, (name, export) in enumerate(EXPORTS.items()):
            report(index, len(EXPORTS), f"exporting {name}")
            artefacts[name] = export(model, chosen, Path(folder))
        latencies = time_in_turns(artefacts, report)
        proofs = {
            name: prove(artefact, checkpoint, photos, budgets_ms[artefact.format == "tflite"], report)
            for name, artefact in artefacts.items()
        }
    record = new_record({}, {}, quick=False, checkout=Path(__file__).parent)
    rows = [row_of(name, artefacts[name], latencies[name], proofs[name]) for name in artefacts]
    if out is not None:
        about = {"date": record.date, "commit": record.commit, "cpu": record.fingerprint.cpu}
        write_json(out, about | {"checkpoint": checkpoint.name, "data": photos.name, "formats": rows})
    show(rows, checkpoint.name)
    if not all(proof.passed for proof in proofs.values()):
        sys.exit(1)


def time_in_turns(artefacts: Mapping[str, Artefact], report: Any) -> dict[str, Latency]:
    """The latency of each file on its own target, all in one run."""
    models = [load_model(artefact.path, resolve_target(artefact.target)) for artefact in artefacts.values()]
    latencies = measure_latency(
        models,
        rounds=_ROUNDS,
        input_size=Size(640, 480),
        progress=lambda done, total: report(done, total, "timing in turns"),
    )
    return dict(zip(artefacts, latencies, strict=True))


def prove(artefact: Artefact, reference: Path, photos: EvaluationSet, budget_ms: float, report: Any) -> Verification:
    """All gates; the latency of TensorFlow Lite is that on the NPU."""
    target = resolve_target(_NPU if artefact.format == "tflite" else artefact.target)
    check = check_latency(artefact.path, target, table_of(target), budget_ms, report)
    return verify(artefact.path, reference, photos, check, Limits(), report)


def table_of(target: Target) -> LatencyTable | None:
    """The table that predicts for a target, if there is one."""
    try:
        return find_table(target, Size(640, 480))
    except TableError:
        return None


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
    return _VERDICTS[gate.passed] + ("" if gate.value is None else f" {gate.value:.3g}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except FacenasError as error:
        print(f"formats: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
