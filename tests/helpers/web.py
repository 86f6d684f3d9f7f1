"""What tests of browsers need on this machine; they skip, with the reason, where it is absent."""

import base64
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from facenas.browser.chromium import Chromium, find_chromium
from facenas.data.image import Photo
from facenas.devices.targets import resolve_target
from facenas.errors import FacenasError
from facenas.runtimes.runtime import why_unavailable


def a_chromium() -> Path:
    try:
        return find_chromium()
    except FacenasError as error:
        pytest.skip(str(error))


def require_web(device: str = "web") -> None:
    """A Chromium and the npm package onnxruntime-web, and for web-gpu an adapter."""
    reason = why_unavailable(resolve_target(device))
    if reason is not None:
        pytest.skip(reason)


def leftovers_of(browser: Chromium) -> list[str]:
    """Processes and files that a browser has left."""
    folder = str(browser.folder)
    left = [folder] if browser.folder.exists() else []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if folder.encode() in words:
            left.append(words.replace(b"\0", b" ").decode(errors="replace")[:200])
    return left


@contextmanager
def served(folder: Path, *, origins: str = "") -> Iterator[str]:
    """The address of a folder on a plain static server, which isolates no page; `origins`: whose pages may have its files."""

    class Quiet(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            if origins:
                self.send_header("Access-Control-Allow-Origin", origins)
            super().end_headers()

        def log_message(self, format: str, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def opened(browser: Chromium, address: str) -> None:
    """The page of an export, ready."""
    browser.open(f"{address}/index.html")
    browser.wait_for("document.getElementById('said')?.textContent === 'Ready'", 120)


def said(browser: Chromium) -> str:
    """What the page of an export says."""
    return str(browser.evaluate("document.getElementById('said').textContent"))


def encode_png(photo: Photo) -> bytes:
    """A photo, uint8 RGB [height, width, 3], as a PNG file."""
    done, png = cv2.imencode(".png", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
    assert done
    return png.tobytes()


def give(browser: Chromium, content: bytes, name: str, kind: str) -> None:
    """A file to the page of an export."""
    text = base64.b64encode(content).decode()
    browser.evaluate(
        f"fetch('data:{kind};base64,{text}').then((reply) => reply.blob())"
        f".then((blob) => show(new File([blob], '{name}', {{ type: '{kind}' }})))"
    )
