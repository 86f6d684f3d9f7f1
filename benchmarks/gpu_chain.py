"""From a latency table to a detector that is proved on the device, by a machine that is lent for minutes."""

import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

from gpu_options import CHOICES
from gpu_run import FACENAS, Lent, read
from processes import StoppedError, last_line

_NORM_PHOTOS = 64
_CHAIN_FILES = (
    *("run.json", "search.json", "prediction.json", "table.json"),
    *("verify.json", "model.verify.json", "model.onnx", "report.html"),
)


def profile_of(lent: Lent, target: str) -> dict[str, Any]:
    """Measure a target's latency table, which then lies in the state; what the verb told. Raises StoppedError."""
    words = ["profile", "--device", target, "--input", lent.options.input, "--out", lent.state / f"{target}.json"]
    seconds = ["--seconds", str(lent.options.profile_seconds), "--resume", "--even-if-busy", "--quick"]
    told: dict[str, Any] = lent.facenas(*words, *seconds, most_s=60 * lent.options.profile_minutes)
    print(
        f"profile {target}: {told['operators']} operators, {told['seconds']} s, mean error"
        f" {told['calibration_error_percent']} %"
    )
    return told


def chain(lent: Lent) -> None:
    """The whole chain to its end on the device: a slice of the supernet that ships, searched by the device's table,
    exported, and proved there, on drawn photos (`facenas run`) and on those of --val (`facenas verify`)."""
    told = dict(lent.results.get("chain", {}))
    for target in lent.options.chain_targets:
        if "passed" in told.get(target, {}):
            continue
        try:
            told[target] = _chain_on(lent, target)
            verdict = "all gates passed" if told[target]["passed"] else "not passed"
            print(f"chain {target}: {verdict}, {told[target]['latency']}, {told[target]['seconds']} s")
            for photos, gates in told[target]["gates"].items():
                for name, (passed, value, limit) in gates.items():
                    print(f"    {photos}, {name}: {passed}, {value} of {limit}")
        except StoppedError as stop:
            told[target] = {"not run": str(stop)}
            print(f"chain {target}: not run: {stop}")
        lent.note("chain", told)


def _chain_on(lent: Lent, target: str) -> dict[str, Any]:
    table, folder, started = lent.state / f"{target}.json", lent.state / f"chain-{target}", time.monotonic()
    if not table.exists():
        profile_of(lent, target)
    most_s = 60 * lent.options.chain_minutes
    on: list[str | Path] = ["--device", target, "--table", table, "--no-calibrate"]
    latency = lent.options.chain_latency
    if latency is None:
        known = lent.facenas("predict", CHOICES["5ms"][1], *on, "--input", lent.options.input)
        latency = f"{1.05 * known['latency_ms']:.3f}ms"
    # Gates that fail are a result, too; so what lies in the folder counts, not the exit code.
    words = [
        "run",
        *on,
        "--latency",
        latency,
        "--input",
        lent.options.input,
        "--photos",
        _some_photos(lent),
        "--out",
        folder,
    ]
    done = lent.call([*FACENAS, *words, "--json"], min(lent.seconds_left, most_s))
    if not (folder / "verify.json").exists():
        raise StoppedError(last_line(done))
    model, weights = folder / "model.onnx", folder / "training/best.safetensors"
    words = ["verify", model, *on, "--latency", latency, "--reference", weights, "--data", lent.options.val]
    done = lent.call([*FACENAS, *words, "--json"], min(lent.seconds_left, most_s))
    judged = {"drawn": read(folder / "verify.json"), "photos": read(folder / "model.verify.json")}
    if not judged["photos"]:
        raise StoppedError(last_line(done))
    return {
        "passed": read(folder / "run.json")["passed"] and judged["photos"]["passed"],
        "latency": latency,
        "seconds": round(time.monotonic() - started, 1),
        "gates": {
            photos: {gate["name"]: [gate["passed"], gate["value"], gate["limit"]] for gate in told["gates"]}
            for photos, told in judged.items()
        },
    }


def _some_photos(lent: Lent) -> Path:
    """A folder with photos for the norms of a slice: the first of the first piece, which is a fair sample."""
    folder = lent.state / "norm-photos"
    pieces = [lent.options.photos] if lent.options.photos.is_file() else sorted(lent.options.photos.glob("*.zip"))
    if pieces and not folder.exists():
        with zipfile.ZipFile(pieces[0]) as piece:
            inside = [name for name in piece.namelist() if name.startswith("images/")]
            piece.extractall(folder, inside[:_NORM_PHOTOS])
    unpacked: Path = folder if pieces else lent.options.photos
    return unpacked


def collect_chains(lent: Lent) -> None:
    """Copy what the chains made to --out: tables, searches, verdicts, the exported file, the page."""
    for folder in lent.state.glob("chain-*"):
        for path in map(folder.joinpath, _CHAIN_FILES):
            if path.exists():
                (lent.out / folder.name).mkdir(exist_ok=True)
                shutil.copy2(path, lent.out / folder.name / path.name)
