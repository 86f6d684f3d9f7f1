"""What README and docs show is real: every command parses as written, the quick ones run, the Python runs, links lead on."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.elastic_tables import elastic_table
from typer.main import get_command

from facenas.cli.main import app, main
from facenas.data.image import encode_jpeg
from facenas.data.synthetic import draw_photo, write_synthetic_set
from facenas.devices.target import TARGET_NAMES
from facenas.evaluation.gates import AP_DROPS, BOXES_MATCHED, FP32_MAX_ABS, RELATIVE
from facenas.zoo import zoo_model

ROOT = Path(__file__).resolve().parents[1]
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
DEVICES_WITH_TABLE = {path.stem for path in (ROOT / "latency_tables").glob("*.json")}
PHOTOS = {"photo.jpg", "photos/images"}  # what the fixture `folder` holds
SLOW_OPTIONS = {"--calibrate", "--confirm", "--rerank", "--algorithm", "--checkpoint"}
Words = tuple[str, ...]

_FENCED = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4,}.*\n|\n(?= {4}))+)")
_COMMAND = re.compile(r"\s*(?:\$ )?(?:facenas|torchrun .* --module facenas\.cli\.main) (.*)")


def blocks(page: str) -> Iterator[str]:
    """The code blocks of a page, fenced or indented."""
    yield from _FENCED.findall(page)
    for block in _INDENTED.findall(_FENCED.sub("", page) + "\n"):
        yield re.sub(r"^ {4}", "", block, flags=re.MULTILINE)


def commands_of(page: str) -> Iterator[Words]:
    """What follows `facenas` in the lines of blocks, comments left out."""
    for block in blocks(page):
        for line in block.replace("\\\n", " ").splitlines():
            if match := _COMMAND.match(line):
                yield tuple(shlex.split(match[1], comments=True))


def python_of(page: str) -> str:
    """The Python blocks of a page, which are one program."""
    return "\n".join(block for block in blocks(page) if re.match(r"(import|from) \w", block))


def is_quick(words: Words) -> bool:
    """Whether a command takes a second or so, and names what is there: no placeholder, no device or file elsewhere."""
    devices = {value for option, value in pairwise(words) if option == "--device"}
    named = any(re.fullmatch(r"[A-Z_]{2,}|F|model\.NAME", word) for word in words)
    if "facenas-elastic" in words:  # no table that ships holds its operators, so they are measured first
        return False
    if named or SLOW_OPTIONS & set(words) or any("@p" in word for word in words):
        return False
    match words:
        case ("score" | "predict" | "search", _, *_):
            return devices <= DEVICES_WITH_TABLE
        case ("detect", _, *rest):
            return (
                "--latency" not in rest
                and "model.engine" not in rest  # needs its board
                and devices <= DEVICES_WITH_TABLE
                and PHOTOS.issuperset(takewhile(lambda word: not str(word).startswith("--"), words[1:]))
                and bool(rest)
            )
        case ("export", "--arch", _, *rest):
            return not {"openvino", "trt", "tflite", "ncnn", "mnn", "web", "web-gpu"} & set(rest)
        case ("devices", *_) | ("device", "add", *_) | ("report", "table", *_):
            return True
        case _:
            return False


COMMANDS = sorted({words for page in PAGES.values() for words in commands_of(page)})
# Within a sentence or a table they may be parts of commands.
MENTIONS = sorted({tuple(text.split()) for page in PAGES.values() for text in re.findall(r"`facenas ([^`]+)`", page)})
QUICK = sorted(filter(is_quick, {*COMMANDS, *MENTIONS}))


def name_of(words: Words) -> str:
    return " ".join(words)[:70]


def verb_of(words: Words) -> tuple[Any, list[str]]:
    """The command that a line names, and what follows its name."""
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"there is no verb '{rest[0]}'"
        command = command.commands[rest.pop(0)]
    return command, rest


WORKFLOW = (ROOT / "examples" / "github-workflow.yml").read_text(encoding="utf-8")
WORKFLOW_COMMANDS = [tuple(shlex.split(line, comments=True)) for line in re.findall(r"facenas (.* --.*)", WORKFLOW)]


@pytest.mark.parametrize("words", [*COMMANDS, *WORKFLOW_COMMANDS], ids=name_of)
def test_commands_parse(words: Words) -> None:
    command, rest = verb_of(words)
    command.make_context(command.name, rest)  # raises for an unknown option, a missing argument, a value of no use


def test_the_run_of_the_workflow_is_one_that_a_run_takes() -> None:
    """What only the run itself refuses: photos to train on that are not there, say."""
    run = next(words for words in WORKFLOW_COMMANDS if words[0] == "run")
    assert {"--latency", "--device", "--out"} == {word for word in run if word.startswith("--")}


@pytest.mark.parametrize("words", MENTIONS, ids=name_of)
def test_mentions_name_real_verbs_and_options(words: Words) -> None:
    command, rest = verb_of(words)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    assert {word for word in rest if word.startswith("--")} <= known


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages' quick commands name: photos, labelled ones, a model."""
    place = tmp_path_factory.mktemp("docs")
    write_synthetic_set(place / "photos", 2)
    photo, _, _ = draw_photo(320, 240, np.random.default_rng(0))
    (place / "photo.jpg").write_bytes(encode_jpeg(photo, 92))
    shutil.copy(zoo_model(), place / "model.onnx")
    elastic_table(place / "latency_tables" / "cpu.json")  # or the first search would measure the default space
    return place


@pytest.mark.parametrize("words", QUICK, ids=name_of)
def test_quick_commands_run(
    words: Words,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # no device of a user's own is asked or changed
    monkeypatch.setattr("sys.argv", ["facenas", *words])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if python_of(page)])
def test_python_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    given = {"photo": np.zeros((100, 120, 3), np.uint8)}  # the reader's own
    exec(compile(python_of(PAGES[name]), name, "exec"), given)


@pytest.mark.parametrize("name", PAGES)
def test_links_and_paths_exist(name: str) -> None:
    page = ROOT / name if name == "README.md" else ROOT / "docs" / name
    links = (link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]) if "://" not in link)
    paths = re.findall(r"`((?:facenas|exporters|benchmarks|tests|docs|examples|\.github)/[\w./-]*)`", PAGES[name])
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:`| {4})make ([a-z-]+)", "\n".join(PAGES.values())))))
def test_make_targets_are_real(target: str) -> None:
    result = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_target_is_described() -> None:
    assert [name for name in TARGET_NAMES if f"`{name}`" not in PAGES["devices.md"]] == []


def test_limits_of_the_gates_are_those_of_the_code() -> None:
    names = ("fp32", "fp16", "bf16", "int8")
    head, rows = PAGES["formats.md"].partition("| gate |")[2].split("\n", 1)
    numbers = [re.findall(r"\d+(?:\.\d+)?", row.split("|", 2)[2]) for row in rows.splitlines()[1:4]]
    assert tuple(re.findall(r"\w+", head)) == names
    assert [list(map(float, row)) for row in numbers] == [
        [FP32_MAX_ABS, *(RELATIVE[name] for name in names[1:])],
        [BOXES_MATCHED[name] for name in names],
        [AP_DROPS[name] for name in names],
    ]
