"""What users have in their files and scripts stays as it is while the code is moved: five searches, an exported model, the
tables that ship, the options of each command, the keys of what `--json` prints.

`tests/unchanged.json` holds what is expected. Where something is meant to change, run this file as a script (`python
tests/test_unchanged.py`): it writes that file anew, and its diff says what changed.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

from facenas.cli.main import app, main
from facenas.data.image import encode_jpeg
from facenas.data.synthetic import write_synthetic_set
from facenas.latency.table import load_table, save_table
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.evolution import EvolutionSettings, run_evolution
from facenas.searching.problem import Problem
from facenas.spaces.named import load_space
from facenas.units import Size
from facenas.zoo import zoo_model

GOLDEN = Path(__file__).with_name("unchanged.json")
TABLES = sorted((Path(__file__).parents[1] / "latency_tables").glob("*.json"))
SMALL = "SuperConvK3BNRELU(3,8,2,1)" + "SuperResK3K3(8,16,2,16,1)" + "SuperResK3K3(16,16,2,16,1)" * 3
EDGE = ("--space", "facenas-edge")
SEARCHES = {
    "latency": ("--latency", "9ms", "--top", "3"),
    "costs": ("--device", "none", "--flops", "150M", "--params", "0.25M", "--memory", "3MB", "--input", "320x256"),
    "two devices": (
        *("--device", "cpu", "--device", "jetson-orin-nano"),
        *("--latency", "cpu=12ms", "--latency", "jetson-orin-nano=4ms"),
    ),
    "kernels": ("--device", "cpu-int8", "--latency", "7ms", "--kernels", "3,5", "--rank-by", "flops", "--alpha", "0.1"),
}


def run(*words: object) -> str:
    """What a command prints, from within this process."""
    out, before, code = StringIO(), sys.argv, None
    sys.argv = ["facenas", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(StringIO()):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    assert not code, words
    return out.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def searched(folder: Path) -> dict[str, str]:
    """The hash of search.json of each search."""
    for name, words in SEARCHES.items():
        run("search", *EDGE, *words, "--out", folder / name)
    return {name: sha256(_without_tables(folder / name / "search.json")) for name in SEARCHES}


def _without_tables(path: Path) -> bytes:
    """A search.json but for what it says of this machine."""
    value = json.loads(path.read_text(encoding="utf-8"))
    assert set(value.pop("tables")) == set(value["latency_ms"])
    return json.dumps(value, indent=1).encode()


class StoppedError(Exception):
    """The evolution was stopped on purpose."""


def evolved(folder: Path) -> dict[str, str]:
    """An evolution that is stopped in the middle and resumed: what its state says of the search, and its result's hash."""
    budgets = Budgets({}, flops=150e6, params=0.25e6, memory_bytes=3e6)
    problem = Problem(load_space("facenas-edge"), ScoreSettings(), Size(320, 256), {}, budgets)
    state = folder / "evolution.json"

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise StoppedError

    def evolve(progress: Callable[[int, int], None] | None) -> bytes:
        result = run_evolution(
            problem,
            EvolutionSettings(seed=5, candidates=6_400),
            top=3,
            provenance={},
            state_path=state,
            resume=True,
            progress=progress,
        )
        return json.dumps(result.to_json()).encode()

    with pytest.raises(StoppedError):
        evolve(stop)
    of_search = json.loads(state.read_text(encoding="utf-8"))["search"]
    return {"search": of_search, "result": sha256(evolve(None))}


def options() -> dict[str, list[str]]:
    """The options and arguments of each command, with their words of help."""
    return dict(sorted(_options_of(get_command(app), "facenas")))


def _options_of(command: Any, name: str) -> Iterator[tuple[str, list[str]]]:
    if hasattr(command, "commands"):
        for below, child in command.commands.items():
            yield from _options_of(child, f"{name} {below}")
    else:
        lines = [command.help or ""]
        for parameter in command.params:
            words = " ".join([*parameter.opts, *parameter.secondary_opts])
            lines.append(f"{words}: {getattr(parameter, 'help', None) or ''} (default: {parameter.default})")
        yield name, lines


def keys_of(value: Any, place: str = "") -> set[str]:
    """The places of all values within JSON; those of a list's entries are one."""
    if isinstance(value, dict):
        return {place}.union(*(keys_of(entry, f"{place}.{key}") for key, entry in value.items()))
    if isinstance(value, list):
        return {f"{place}[]"}.union(*(keys_of(entry, f"{place}[]") for entry in value))
    return {place}


def printed_keys(folder: Path) -> dict[str, list[str]]:
    """The keys of what `--json` prints, by command."""
    photos, model, trained = folder / "photos", folder / "model.onnx", folder / "trained"
    write_synthetic_set(photos, 4, seed=0)
    photo = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    (folder / "noise.jpg").write_bytes(encode_jpeg(photo, 90))
    commands: dict[str, tuple[object, ...]] = {
        "devices": ("devices",),
        "score": ("score", "damofd-0.5g"),
        "predict": ("predict", "damofd-0.5g", "--device", "cpu"),
        "search": ("search", *EDGE, "--device", "none", "--flops", "150M", "--input", "320x256"),
        "train": (
            *("train", "--arch", SMALL, "--data", photos, "--val", photos),
            *("--epochs", 1, "--crop", 64, "--out", trained),
        ),
        "export": ("export", "--checkpoint", "facenas-12ms", "--input", "128x96", "--out", model),
        "evaluate": ("evaluate", "--model", model, "--data", photos),
        "verify": ("verify", model, "--reference", "facenas-12ms", "--data", photos),
        "detect": ("detect", photos / "images", "--model", "facenas-5ms", "--min-score", "0.01"),
    }
    return {name: sorted(keys_of(json.loads(run(*words, "--json")))) for name, words in commands.items()}


def expected(name: str) -> Any:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))[name]


def test_searches_give_the_same_bytes(tmp_path: Path) -> None:
    assert searched(tmp_path) == expected("searches")


def test_a_stopped_evolution_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    assert evolved(tmp_path) == expected("evolution")


def test_the_exported_model_is_the_one_that_ships(tmp_path: Path) -> None:
    run("export", "--checkpoint", "facenas-12ms", "--out", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == zoo_model("facenas-12ms").read_bytes()


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_that_is_loaded_and_saved_is_the_same_bytes(path: Path, tmp_path: Path) -> None:
    save_table(load_table(path), tmp_path / "table.json")
    saved, shipped = (tmp_path / "table.json").read_bytes(), path.read_bytes()
    if b"calibration_pairs_ms" not in shipped:  # vendor-estimated tables were written before there was that key
        saved = saved.replace(b' "calibration_pairs_ms": [],\n', b"")
    assert saved == shipped


def test_commands_have_the_same_options() -> None:
    assert options() == expected("options")


def test_commands_print_the_same_keys(tmp_path: Path) -> None:
    assert printed_keys(tmp_path) == expected("keys")


def write_golden() -> None:
    """Write anew what is expected."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        golden = {"searches": searched(folder), "evolution": evolved(folder), "options": options()}
        golden["keys"] = printed_keys(folder)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_golden()
