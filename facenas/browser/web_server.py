"""A server for one page on this machine alone: a random port, and a secret in every address.

The two headers isolate the page, so that its clock resolves microseconds and its WebAssembly may have threads.
"""

import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TYPES = {".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
_ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MAX_BYTES = 1 << 30


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that ends in the middle of a reply is no fault, and what else may be is found by the page."""


class WebServer:
    """Serves `files` by name, and takes what the page puts to a name into `taken`. Both may change meanwhile."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files, self.taken = dict(files), dict[str, bytes]()
        self._secret = secrets.token_urlsafe(16)
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def address_of(self, name: str) -> str:
        """Where a file is for the page."""
        return f"http://127.0.0.1:{self._server.server_port}/{self._secret}/{name}"

    def end(self) -> None:
        """Stop; again is no fault."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server, prefix = self, f"/{self._secret}/"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                content = server.files.get(self.path.removeprefix(prefix)) if self.path.startswith(prefix) else None
                self._reply(404 if content is None else 200, content or b"")

            def do_PUT(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if not self.path.startswith(prefix) or not 0 <= length <= _MAX_BYTES:
                    self._reply(404, b"")
                    return
                server.taken[self.path.removeprefix(prefix)] = self.rfile.read(length)
                self._reply(200, b"")

            def _reply(self, status: int, content: bytes) -> None:
                self.send_response(status)
                suffix = self.path[self.path.rfind(".") :] if "." in self.path else ""
                kind = _TYPES.get(suffix, "application/octet-stream")
                for name, value in {**_ISOLATED, "Content-Type": kind, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *words: object) -> None:
                """Nobody reads it."""

        return Handler
