"""Export for browsers: a folder that any static server can serve.

model.onnx    what onnxruntime-web runs, and facenas in a headless Chromium (`--device web`)
facenas.js    from a picture to faces, one module without dependencies beside onnxruntime-web
index.html    a page to try it: a photo, or the camera
ort/          onnxruntime-web itself, of the npm package that is on this machine

The format web-gpu is the same with WebGPU, and WebAssembly in browsers that have none.
"""

import importlib.resources
import json
import os
from dataclasses import dataclass
from pathlib import Path

import onnx
from facenas.exporters.artefact import Artefact, Description, artefact_of
from facenas.exporters.onnx import export_onnx, redescribe
from facenas.exporters.onnx import read_description as read_onnx_description

from facenas.errors import InputError, MissingPackageError
from facenas.files import read_bytes, read_json, write_atomic

PACKAGE = "onnxruntime-web"
PACKAGE_FOLDER = "FACENAS_ONNXRUNTIME_WEB"
"""The environment variable that names the npm package's folder."""

_MAX_BYTES = 100_000_000
_PLACE, _PROVIDER_PLACE = "/* description */ null", '/* provider */ "wasm"'
_MAGIC = b"\0asm"


@dataclass(frozen=True)
class Flavour:
    """One of the runtimes in the package: `target` that runs its exports, `provider` as it calls itself, the `module` that a
    page imports, and of the `wasm` files that this loads the name without suffix."""

    target: str
    provider: str
    module: str
    wasm: str

    @property
    def files(self) -> tuple[str, str, str]:
        """All its files, in the package's folder dist; the last is WebAssembly."""
        return self.module, f"{self.wasm}.mjs", f"{self.wasm}.wasm"


WASM = Flavour("web", "wasm", "ort.wasm.min.mjs", "ort-wasm-simd-threaded")
WEBGPU = Flavour("web-gpu", "webgpu", "ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify")


def page_file(name: str) -> str:
    """One of the files that this package has for browsers."""
    return (importlib.resources.files("facenas.exporters") / "web_page" / name).read_text(encoding="utf-8")


def module_of(description: Description, flavour: Flavour = WASM) -> str:
    """facenas.js for a described model."""
    module = page_file("facenas.js").replace(_PLACE, json.dumps(description.to_json()))
    return module.replace(_PROVIDER_PLACE, json.dumps(flavour.provider))


def find_package(folder: Path | None = None, flavour: Flavour = WASM) -> Path:
    """The folder of the npm package onnxruntime-web: `folder`, or the one that the environment names, or that of the nearest
    node_modules. Raises MissingPackageError where there is none, InputError where it lacks files of the flavour."""
    named = folder or (Path(os.environ[PACKAGE_FOLDER]) if os.environ.get(PACKAGE_FOLDER) else None)
    here = Path.cwd()
    places = [named] if named else [each / "node_modules" / PACKAGE for each in (here, *here.parents)]
    found = next((place for place in places if (place / "package.json").is_file()), None)
    if found is None:
        where = f"in {named}" if named else "in a node_modules here or above"
        raise MissingPackageError(
            f"there is no {PACKAGE} {where}; type: npm install {PACKAGE}, or name its folder: {PACKAGE_FOLDER}=FOLDER"
        )
    for name in flavour.files:
        if not (found / "dist" / name).is_file():
            raise InputError(f"{found} lacks dist/{name}; install it again: npm install {PACKAGE}")
    wasm = found / "dist" / flavour.files[-1]
    with wasm.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InputError(f"{wasm} is no WebAssembly; install it again: npm install {PACKAGE}")
    return found


def package_version(package: Path) -> str:
    """The version of the npm package. Raises InputError where its description is damaged."""
    value = read_json(package / "package.json", "description of the package")
    if not isinstance(value, dict) or value.get("name") != PACKAGE or not isinstance(value.get("version"), str):
        raise InputError(f"{package} is not the npm package {PACKAGE}; type: npm install {PACKAGE}")
    return str(value["version"])


def export_web(
    model: onnx.ModelProto, out: Path, precision: str, package: Path | None = None, flavour: Flavour = WASM
) -> Artefact:
    """Write a described fp32 model as `out`, a file model.onnx, with everything else beside it. Raises InputError for another
    name, another precision or an open input size, MissingPackageError without onnxruntime-web."""
    if precision != "fp32":
        raise InputError(f"no precision '{precision}' in this format; there is fp32")
    if out.name != "model.onnx":
        raise InputError(f"--out {out}: give a folder, into which model.onnx and its page are written")
    source = read_onnx_description(model, out)
    if source.dynamic:
        raise InputError("a page has one input size; export without --dynamic")
    package = find_package(package, flavour)
    version = package_version(package)
    for name in flavour.files:
        write_atomic(out.parent / "ort" / name, read_bytes(package / "dist" / name, "file of the package", _MAX_BYTES))
    description = source.as_exported(precision, flavour.target)
    described = onnx.ModelProto()
    described.CopyFrom(model)
    export_onnx(redescribe(described, description), out)
    write_atomic(out.with_name("facenas.js"), module_of(description, flavour))
    write_atomic(out.with_name("index.html"), page_file("index.html").replace(WASM.module, flavour.module))
    return artefact_of(out, flavour.target, description, PACKAGE, runtime_version=version)
