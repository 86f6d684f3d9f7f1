"""Export for browsers: a folder that any static server can serve.

model.onnx    what onnxruntime-web runs, and facenas in a headless Chromium (`--device web`)
facenas.js    from a picture to faces, one module without dependencies beside onnxruntime-web
index.html    a page to try it: a photo, or the camera
ort/          onnxruntime-web itself, of the npm package that is on this machine
"""

import importlib.resources
import json
import os
from pathlib import Path

import onnx
from facenas.exporters.artefact import Artefact, Description, artefact_of
from facenas.exporters.onnx import export_onnx, redescribe
from facenas.exporters.onnx import read_description as read_onnx_description

from facenas.errors import InputError, MissingPackageError
from facenas.files import read_bytes, read_json, write_atomic

TARGET = "web"
PACKAGE = "onnxruntime-web"
PACKAGE_FOLDER = "FACENAS_ONNXRUNTIME_WEB"
"""The environment variable that names the npm package's folder."""

RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_MAX_BYTES = 100_000_000
_PLACE = "/* description */ null"
_WASM = b"\0asm"


def page_file(name: str) -> str:
    """One of the files that this package has for browsers."""
    return (importlib.resources.files("facenas.exporters") / "web_page" / name).read_text(encoding="utf-8")


def module_of(description: Description) -> str:
    """facenas.js for a described model."""
    return page_file("facenas.js").replace(_PLACE, json.dumps(description.to_json()))


def find_package(folder: Path | None = None) -> Path:
    """The folder of the npm package onnxruntime-web: `folder`, or the one that the environment names, or that of the nearest
    node_modules. Raises MissingPackageError where there is none, InputError where it is not whole."""
    named = folder or (Path(os.environ[PACKAGE_FOLDER]) if os.environ.get(PACKAGE_FOLDER) else None)
    here = Path.cwd()
    places = [named] if named else [each / "node_modules" / PACKAGE for each in (here, *here.parents)]
    found = next((place for place in places if (place / "package.json").is_file()), None)
    if found is None:
        where = f"in {named}" if named else "in a node_modules here or above"
        raise MissingPackageError(
            f"there is no {PACKAGE} {where}; type: npm install {PACKAGE}, or name its folder: {PACKAGE_FOLDER}=FOLDER"
        )
    for name in RUNTIME_FILES:
        if not (found / "dist" / name).is_file():
            raise InputError(f"{found} lacks dist/{name}; install it again: npm install {PACKAGE}")
    with (found / "dist" / RUNTIME_FILES[-1]).open("rb") as file:
        if file.read(len(_WASM)) != _WASM:
            raise InputError(
                f"{found / 'dist' / RUNTIME_FILES[-1]} is no WebAssembly; install it again: npm install {PACKAGE}"
            )
    return found


def package_version(package: Path) -> str:
    """The version of the npm package. Raises InputError where its description is damaged."""
    value = read_json(package / "package.json", "description of the package")
    if not isinstance(value, dict) or value.get("name") != PACKAGE or not isinstance(value.get("version"), str):
        raise InputError(f"{package} is not the npm package {PACKAGE}; type: npm install {PACKAGE}")
    return str(value["version"])


def export_web(model: onnx.ModelProto, out: Path, precision: str, package: Path | None = None) -> Artefact:
    """Write a described fp32 model as `out`, a file model.onnx, with everything else beside it. Raises InputError for another
    name, another precision or an open input size, MissingPackageError without onnxruntime-web."""
    if precision != "fp32":
        raise InputError(f"no precision '{precision}' in this format; there is fp32")
    if out.name != "model.onnx":
        raise InputError(f"--out {out}: give a folder, into which model.onnx and its page are written")
    source = read_onnx_description(model, out)
    if source.dynamic:
        raise InputError("a page has one input size; export without --dynamic")
    package = find_package(package)
    version = package_version(package)
    for name in RUNTIME_FILES:
        write_atomic(out.parent / "ort" / name, read_bytes(package / "dist" / name, "file of the package", _MAX_BYTES))
    description = source.as_exported(precision, TARGET)
    described = onnx.ModelProto()
    described.CopyFrom(model)
    export_onnx(redescribe(described, description), out)
    write_atomic(out.with_name("facenas.js"), module_of(description))
    write_atomic(out.with_name("index.html"), page_file("index.html"))
    return artefact_of(out, "web", description, PACKAGE, runtime_version=version)
