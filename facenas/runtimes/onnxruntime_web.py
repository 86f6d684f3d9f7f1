"""onnxruntime-web in a headless Chromium: a browser as a device.

One browser a process, started at the first model and ended with the process; its page holds the compiled networks. Times are
those of the page's own clock around a run. A browser that is killed or loses its GPU meanwhile is started again, once for each
call, so that it costs a profile nothing; a network on which it hangs or ends again is the network's fault.
"""

import atexit
import importlib.resources
import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from facenas.arrays import FloatArray, IntArray
from facenas.browser.chromium import WITHOUT_GPU, BrowserGoneError, Chromium, PageError, find_chromium, version_of
from facenas.browser.web_server import WebServer
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.target import Target
from facenas.errors import FacenasError, InputError
from facenas.exporters.web import WASM, Flavour, find_package, package_version, page_file
from facenas.files import read_bytes
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.fingerprints import of_this_cpu_with
from facenas.units import Size

_MAX_BYTES = 1_000_000_000
_READY_S = 60.0
_PAGE = '<!doctype html><title>starting</title><script type="module" src="page.js"></script>'


def why_not_here(_: Target) -> str | None:
    """None where there are a Chromium and the npm package, else which of them is missing."""
    try:
        version_of(find_chromium())
        package_version(find_package())
    except FacenasError as error:
        return str(error)
    return None


def fingerprint_of(target: Target) -> Fingerprint:
    """That of this CPU, with the package's and the browser's versions, and what WebAssembly must be able to do."""
    here = of_this_cpu_with(target, versions())
    features = {"wasm-simd128", *(["wasm-threads"] if target.threads > 1 else [])}
    return replace(here, instruction_sets=tuple(sorted({*here.instruction_sets, *features})))


def versions() -> str:
    """Those of package and browser."""
    return f"{package_version(find_package())} in {version_of(find_chromium())}"


class Page:
    """The page with the networks, in a browser that is started when it is first asked, and again after it was killed.

    `options`: of the browser; `start`: makes the browser. May be used by several threads.
    """

    def __init__(
        self,
        threads: int = 1,
        options: tuple[str, ...] = WITHOUT_GPU,
        start: Callable[..., Chromium] = Chromium,
        flavour: Flavour = WASM,
    ) -> None:
        self._threads, self._options, self._start, self._flavour = threads, options, start, flavour
        dist = find_package(flavour=flavour) / "dist"
        files = {f"ort/{name}": read_bytes(dist / name, "file of the package", _MAX_BYTES) for name in flavour.files}
        files["ort/ort.mjs"] = files.pop(f"ort/{flavour.module}")
        script = (importlib.resources.files("facenas.browser") / "page.js").read_bytes()
        files |= {"page.js": script, "facenas.js": page_file("facenas.js").encode(), "page.html": _PAGE.encode()}
        self.server = WebServer(files)
        self.browser: Chromium | None = None
        self._turn, self._names = threading.RLock(), count()
        atexit.register(self.end)

    def put(self, content: bytes) -> str:
        """The name by which the page finds these bytes from now on."""
        name = f"data/{next(self._names)}"
        self.server.files[name] = content
        return name

    def ask(self, what: str, *words: Any) -> Any:
        """What a function of the page gives. Raises InputError in the page's words, or where the browser ends twice or
        hangs."""
        script = f"page.{what}({', '.join(map(json.dumps, words))})"
        with self._turn:
            for last in (False, True):
                try:
                    return self._ready().evaluate(script)
                except PageError as error:
                    if not last and self._has_lost_its_gpu():
                        continue
                    raise InputError(f"onnxruntime-web cannot {what} the model: {_cure(str(error))}") from error
                except BrowserGoneError as error:
                    self.browser = None
                    if last or error.hung:
                        raise InputError(f"the browser ended while it had to {what} the model: {error}") from error
        raise AssertionError

    def _ready(self) -> Chromium:
        if self.browser is None:
            browser = self._start(find_chromium(), self._options)
            try:
                browser.open(self.server.address_of("page.html"))
                browser.wait_for("document.title === 'ready'", _READY_S)
                isolated = browser.evaluate(f"page.start({self._threads}, '{self._flavour.provider}')")
            except (PageError, BrowserGoneError) as error:
                browser.end()
                raise InputError(f"onnxruntime-web does not start in the browser: {error}") from error
            if not isolated and self._threads > 1:
                browser.end()
                raise InputError("the browser does not isolate the page, so there are no threads; use --device web")
            self.browser = browser
        return self.browser

    def _has_lost_its_gpu(self) -> bool:
        """Whether the page's GPU is gone, as with a driver that was reset; the browser is then ended, too."""
        if self.browser is None or self._flavour.provider != "webgpu" or not self.browser.evaluate("page.lost()"):
            return False
        self.browser.end()
        self.browser = None
        return True

    def end(self) -> None:
        """End browser and server; again is no fault."""
        atexit.unregister(self.end)
        with self._turn:
            if self.browser is not None:
                self.browser.end()
                self.browser = None
            self.server.end()


@cache
def wasm_page(threads: int) -> Page:
    """This process's page for so many threads."""
    return Page(threads)


def _cure(words: str) -> str:
    return f"{words}; if it is too large for the 4 GB of WebAssembly, take a smaller input"


class OnnxRuntimeWebModel(CompiledModel):
    """An fp32 ONNX model in a page. Raises InputError where onnxruntime-web cannot load it."""

    def __init__(self, model: Path | bytes, page: Page) -> None:
        name, content = ("the model", model) if isinstance(model, bytes) else (str(model), model.read_bytes())
        self.input_size = _input_size(name, content)
        self._page = page
        self._model = self._page.put(content)
        weakref.finalize(self, self._page.server.files.pop, self._model, None)
        self._page.ask("load", self._model)

    def run(self, image: FloatArray) -> dict[str, FloatArray]:
        """The outputs by name for one image, float32 [1, 3, height, width]. Raises InputError for another shape."""
        size = self.input_size or Size(image.shape[-1], image.shape[-2])
        if image.shape != (1, 3, size.height_px, size.width_px):
            raise InputError(f"the model does not take an image of shape {list(image.shape)}; it takes {size}")
        files, taken = self._page.server.files, self._page.server.taken
        given = self._page.put(np.ascontiguousarray(image, "<f4").tobytes())
        try:
            outputs = self._page.ask("run", self._model, given, given, size.width_px, size.height_px)
            values = np.frombuffer(taken[given], "<f4").astype(np.float32)
        finally:
            files.pop(given, None)
            taken.pop(given, None)
        found = {}
        for output in outputs:
            count = int(np.prod(output["dims"]))
            found[output["name"]], values = values[:count].reshape(output["dims"]), values[count:]
        return found

    def time(self, runs: int, warm_up: int = 1, input_size: Size | None = None) -> IntArray:
        """Nanoseconds of each of `runs` runs by the page's clock, int64 [runs]."""
        size = self.timed_size(input_size)
        taken_ms = self._page.ask("time", self._model, runs, warm_up, size.width_px, size.height_px)
        return np.asarray(np.round(1e6 * np.array(taken_ms, np.float64)), np.int64)


def _input_size(name: str, content: bytes) -> Size | None:
    """The size of the image that an ONNX model takes, None where it is open. Raises InputError for what is no such model."""
    from google.protobuf.message import DecodeError

    try:
        inputs = onnx.load_from_string(content).graph.input
    except (DecodeError, ValueError) as error:
        raise InputError(f"{name} is no whole ONNX file ({error}); export or copy it again") from error
    sides = list(inputs[0].type.tensor_type.shape.dim) if len(inputs) == 1 else []
    if len(sides) != 4 or sides[1].dim_value != 3:
        raise InputError(f"{name} takes no image; a detector has one of shape [1, 3, height, width]")
    height, width = sides[2].dim_value, sides[3].dim_value
    return Size(width, height) if width and height else None
