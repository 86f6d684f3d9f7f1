"""What somebody tries first on a command line that they do not know yet: -h, --version, a name slightly wrong, no unit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from facenas.exporters.formats import format_named
from helpers.command_line import Outcome
from typer.main import get_command

from facenas.cli.main import app
from facenas.cli.output import in_full
from facenas.version import __version__

Run = Callable[..., Outcome]
NETWORK = "SuperConvK3BNRELU(3,16,2,1)" + "SuperResK3K3(16,16,2,16,1)" * 4
EDGE = ("--space", "facenas-edge")  # whose operators are in the table that ships


def verbs(command: Any = None, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command by its words."""
    command = command or get_command(app)
    if hasattr(command, "commands"):
        for word, child in command.commands.items():
            yield from verbs(child, (*name, word))
    else:
        yield name, command


VERBS = dict(verbs())


def test_the_version(facenas: Run) -> None:
    for option in ("--version", "-V"):
        outcome = facenas(option)
        assert (outcome.code, outcome.out) == (0, f"facenas {__version__}\n")


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "facenas", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"facenas {__version__}\n"


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_every_verb_has_short_help_json_and_verbosity(facenas: Run, words: tuple[str, ...]) -> None:
    outcome = facenas(*words, "-h")
    assert outcome.code == 0
    assert outcome.out == facenas(*words, "--help").out
    options = {name for parameter in VERBS[words].params for name in parameter.opts}
    assert {"--json", "-q", "-v"} <= options


def test_no_help_is_cut_off(facenas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for group in ((), ("device",), ("report",)):
        listed = facenas(*group, "-h").out.partition("Commands:")[2]
        assert listed
        assert "..." not in listed
    assert "how one small network" not in facenas("-h").out  # the first sentence only


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("serch",), "'search'"),
        (("search", "--latncy", "5ms"), "--latency"),
        (("predict", "damofd-0.5g", "--device", "cpu-openvno"), "'cpu-openvino'"),
        (("predict", "damofd-0.5"), "'damofd-0.5g'"),
        (("search", "--space", "facenas-egde"), "'facenas-edge'"),
        (("search", "--rank-by", "ddasr"), "'ddsar'"),
        (("export", "--checkpoint", "facenas-12ms", "--format", "onx"), "'onnx'"),
        (("export", "--checkpoint", "facenas-12sm"), "'facenas-12ms'"),
        (("detect", "photo.jpg", "--model", "facenas-12m"), "'facenas-12ms'"),
        (("evaluate", "--model", "facenas-12ms", "--data", ".", "--protocol", "vgo"), "'vga'"),
        (("train", "--arch", NETWORK, "--data", ".", "--optimizer", "adam"), "'adamw'"),
    ],
    ids=lambda words: " ".join(words)[:40] if isinstance(words, tuple) else "",
)
def test_a_name_slightly_wrong_is_told_the_right_one(
    facenas: Run, words: tuple[str, ...], near: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"")
    outcome = facenas(*words)
    assert outcome.code == 2
    assert near in outcome.err


def test_a_name_unlike_any_is_told_no_other(facenas: Run) -> None:
    outcome = facenas("predict", "damofd-0.5g", "--device", "toaster")
    assert outcome.code == 2
    assert "cpu-openvino" in outcome.err
    assert "did you mean" not in outcome.err


def test_devices_in_capital_letters(facenas: Run) -> None:
    small, capital = (
        facenas("predict", "damofd-0.5g", "--device", name, "--json") for name in ("cpu-openvino", "CPU-OpenVINO")
    )
    assert small.code == 0, small.err
    assert json.loads(capital.out) == json.loads(small.out)
    found = json.loads(facenas("search", *EDGE, "--latency", "9", "--device", "CPU", "--json").out)
    assert list(found["latency_ms"]) == ["cpu"]
    assert found["budgets"] == {"latency cpu": 9.0}  # a latency without a unit is in ms


def test_predict_is_for_this_cpu_by_default(facenas: Run) -> None:
    assert facenas("predict", "damofd-0.5g").out == facenas("predict", "damofd-0.5g", "--device", "cpu").out


@pytest.mark.parametrize(
    ("name", "meant"), [("tensorrt", "trt"), ("Engine", "trt"), ("ONNX", "onnx"), ("litert", "tflite")]
)
def test_formats_by_their_other_names(name: str, meant: str) -> None:
    assert format_named(name).name == meant


def test_device_list_is_devices(facenas: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert json.loads(facenas("device", "list", "--json").out) == json.loads(facenas("devices", "--json").out)


def test_quiet_leaves_the_result_and_errors(facenas: Run) -> None:
    words = ("search", *EDGE, "--latency", "9ms", "--json")
    loud, hushed, before = facenas(*words), facenas(*words, "-q"), facenas("-q", *words)
    assert loud.err
    assert (hushed.err, before.err) == ("", "")
    assert hushed.out == before.out == loud.out
    assert facenas("search", *EDGE, "--latency", "1us", "-q").err.startswith("facenas: ")
    assert "--latncy" in facenas("-q", "search", "--latncy", "1us").err


def test_verbose_names_versions_and_the_place_of_an_error(facenas: Run) -> None:
    outcome = facenas("predict", "nothing", "-v")
    assert outcome.err.startswith(f"facenas {__version__}, Python ")
    assert "given.py" in outcome.err
    assert "facenas: architecture 'nothing'" in outcome.err


def test_block_strings_stand_on_a_line_of_their_own_in_full(facenas: Run) -> None:
    out = facenas("search", *EDGE, "--latency", "9ms", "--top", "2").out.splitlines()
    found = [line.removeprefix(f"[{number}] ") for number in (1, 2) for line in out if line.startswith(f"[{number}] ")]
    assert len(found) == 2
    assert facenas("score", found[0]).code == 0
    assert [line for line in facenas("score", found[0]).out.splitlines() if found[0] in line]


def test_only_words_that_break_are_taken_out_of_a_table() -> None:
    long, sentence = "x" * 61, "a sentence of more than sixty characters can be folded between its words"
    rows, words = in_full([("a", long), (sentence, long)])
    assert rows == [["a", "[1]"], [sentence, "[1]"]]
    assert words == [long]


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("facenas pre", "predict"),
        ("facenas search --device jetson-o", "jetson-orin-nano"),
        ("facenas detect photo.jpg --model facenas-1", "facenas-12ms"),
        ("facenas predict damofd-0", "damofd-0.5g"),
        ("facenas export --format o", "openvino"),
        ("facenas search --sp", "--space"),
        ("facenas search --space facenas-o", "facenas-orin"),
        ("facenas slice --supernet fac", "facenas-elastic"),
        ("facenas compare --device cpu-open", "cpu-openvino"),
        ("facenas compare --checkpoint facenas-1", "facenas-12ms"),
    ],
)
def test_a_shell_completes(line: str, among: str, tmp_path: Path) -> None:
    """What the script that `--install-completion` puts into a shell asks for."""
    asked = {
        "_FACENAS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        "XDG_CONFIG_HOME": str(tmp_path),
    }
    script = "import sys; sys.argv = ['facenas']; from facenas.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert among in result.stdout.split(), result.stderr
