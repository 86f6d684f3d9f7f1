"""The documentation as the pages of a site, in build/docs, which `zensical build` then makes HTML of (`make docs`).

The pages are those of the repository, with their links led to where they lie in the site; files that are no pages, such as
sources, are copied. Only the reference is made: of the command line from its own help, of Python from the docstrings.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facenas.exporters.formats import description_of
from facenas.exporters.web import WASM, module_of, page_file
from typer.main import get_command

import facenas
from facenas.cli.main import app
from facenas.zoo import zoo_model

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
DETECTOR = "facenas-1ms"
"""The detector of the demo, the smallest of the zoo."""
RUNTIME = "https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/"
"""Where the demo's page gets onnxruntime-web, whose WebAssembly is too large for the repository."""

_DEMO = f"""<details>
<summary>Try it: find faces in a photo of yours, here in the browser</summary>
<p>This is the page that <code>facenas export --checkpoint {DETECTOR} --format web</code> writes. Your photo stays on your
device; onnxruntime-web, 14 MB, comes from <code>{RUNTIME.split("/")[2]}</code> when you open this.</p>
<iframe src="demo/index.html" title="Find faces, here in the browser" loading="lazy" allow="camera"></iframe>
</details>

"""
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def pages() -> dict[Path, Path]:
    """Where in the site a page of the repository lies."""
    found = {ROOT / "README.md": Path("index.md"), EXAMPLES: Path("examples.md")}
    found |= {ROOT / name: Path(name.lower()) for name in ("CONTRIBUTING.md", "CHANGELOG.md")}
    found |= {page: Path(page.name) for page in (ROOT / "facenas/zoo").glob("*.md")}
    return found | {page: page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}


def with_links(page: Path, places: dict[Path, Path], out: Path) -> str:
    """The text of a page with its relative links as they are in the site; what they lead to is copied where it is no page.

    Raises FileNotFoundError where a link leads nowhere.
    """

    def moved(match: re.Match[str]) -> str:
        target = (page.parent / match[1]).resolve()
        if target not in places:
            place = places[target] = "source" / target.relative_to(ROOT)
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, out / place)
        return f"]({os.path.relpath(places[target], places[page].parent)}{match[2] or ''})"

    return _LINK.sub(moved, page.read_text(encoding="utf-8"))


def verbs(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command with its words."""
    if hasattr(command, "commands"):
        for word, child in command.commands.items():
            if not child.hidden:
                yield from verbs(child, f"{name} {word}")
    else:
        yield name, command


def command_line() -> str:
    """The reference of the command line, a section a verb."""
    lines = ["# Command line", "", "Every verb also takes `-h`, `-q` and `-v`; `facenas VERB -h` prints the same.", ""]
    for name, command in verbs(get_command(app), "facenas"):
        lines += [f"## {name}", "", command.help or "", "", "| option | what for |", "|---|---|"]
        for parameter in command.params:
            names = [*parameter.opts, *parameter.secondary_opts]
            if getattr(parameter, "hidden", False) or names[0] in ("-q", "-v", "-h"):
                continue
            if parameter.param_type_name == "argument":
                names = [parameter.name.upper()]
            plain = isinstance(parameter.default, str | int | float | Path) and not isinstance(parameter.default, bool)
            default = f" (default: `{parameter.default}`)" if plain else " (required)" if parameter.required else ""
            what = (parameter.help or "").replace("|", "\\|")
            lines.append(f"| {'<br>'.join(f'`{each}`' for each in names)} | {what}{default} |")
        lines.append("")
    return "\n".join(lines)


def python() -> str:
    """The reference of the public names."""
    objects = [getattr(facenas, name) for name in facenas.__all__ if name not in ("Detector", "__version__")]
    names = [f"::: {each.__module__}.{each.__name__}" for each in sorted(objects, key=lambda each: each.__name__)]
    return "\n\n".join(["# Python functions", "All of these are names of `facenas`.", *names]) + "\n"


def examples() -> str:
    """The examples, whole."""
    lines = ["# Examples", "", "Each of them is run by a test.", ""]
    for path in sorted(each for each in EXAMPLES.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
        lines += [
            f"## {path.relative_to(EXAMPLES)}",
            "",
            f"``` {path.suffix[1:]}",
            path.read_text().rstrip(),
            "```",
            "",
        ]
    return "\n".join(lines)


def make_demo(out: Path, runtime: str = RUNTIME) -> None:
    """Write the page of an export for browsers in folder `out`, with onnxruntime-web from the address `runtime`."""
    model = zoo_model(DETECTOR)
    page = page_file("index.html")
    for here, there in (
        (f'"./ort/{WASM.module}"', f'"{runtime}{WASM.module}"'),
        ('new URL("./ort/", location.href).href', f'"{runtime}"'),
    ):
        if here not in page:
            raise ValueError(f"the page of an export has no {here}; mend make_demo")
        page = page.replace(here, there)
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(page, encoding="utf-8")
    (out / "facenas.js").write_text(module_of(description_of(model)), encoding="utf-8")
    shutil.copy(model, out / "model.onnx")


def make_pages(out: Path) -> None:
    """Write the pages in folder `out`, anew."""
    shutil.rmtree(out, ignore_errors=True)
    places = pages()
    texts = {place: with_links(page, places, out) for page, place in list(places.items()) if page.is_file()}
    texts |= {
        Path("examples.md"): examples(),
        Path("reference/command-line.md"): command_line(),
        Path("reference/python.md"): python(),
    }
    front = Path("index.md")
    texts[front] = texts[front].replace("## Install", f"{_DEMO}## Install", 1)
    make_demo(out / "demo")
    for place, text in texts.items():
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        (out / place).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "docs" / "site.css", out)


if __name__ == "__main__":
    make_pages(ROOT / "build" / "docs")
