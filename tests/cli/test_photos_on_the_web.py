"""`facenas detect https://...`: photos are downloaded; what is none, too large, too slow or elsewhere is refused in words."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from helpers.command_line import Outcome

from facenas.data.image import encode_jpeg
from facenas.data.synthetic import draw_photo
from facenas.detector.addresses import MAX_BYTES, fetched
from facenas.errors import InputError

Run = Callable[..., Outcome]


class _Site(BaseHTTPRequestHandler):
    """Answers by the path."""

    photo = b""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in ("/face.jpg", "/deep/face.jpg", "/clip.mp4"):
            self._answer("image/jpeg", self.photo)
        elif path == "/broken.jpg":
            self._answer("image/jpeg", self.photo[: len(self.photo) // 2])
        elif path == "/page.html":
            self._answer("text/html; charset=utf-8", b"<html>")
        elif path == "/moved":
            self._redirect("/face.jpg")
        elif path == "/round":
            self._redirect("/round")
        elif path == "/file":
            self._redirect("file:///etc/hostname")
        elif path == "/large.jpg":
            self._answer("image/jpeg", iter(lambda: bytes(1 << 20), None))
        elif path == "/slow.jpg":
            self._answer("image/jpeg", self._drops())
        else:
            self.send_error(404)

    def _drops(self) -> Iterator[bytes]:
        while True:
            time.sleep(0.05)
            yield b"x"

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def _answer(self, kind: str, content: bytes | Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        try:
            for piece in [content] if isinstance(content, bytes) else content:
                self.wfile.write(piece)
        except OSError:
            pass  # who asked has gone

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    _Site.photo = encode_jpeg(draw_photo(320, 240, np.random.default_rng(0))[0], 90)
    with served() as address:
        yield address


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_photo_is_found_by_its_address(
    facenas: Run, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    addresses = (f"{site}/face.jpg", f"{site}/moved", f"{site}/deep/face.jpg?key=secret", f"{site}/clip.mp4")
    outcome = facenas("detect", *addresses, "--min-score", "0.01", "--out", tmp_path / "drawn", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert [each["image"] for each in found] == [address.partition("?")[0] for address in addresses]
    assert len({json.dumps(each["faces"]) for each in found}) == 1
    assert len(list((tmp_path / "drawn").iterdir())) == 4
    assert f"downloading {site}/face.jpg" in outcome.err
    assert "secret" not in outcome.out + outcome.err
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/page.html", "is no photo that can be read but text/html"),
        ("/absent.jpg", "the server says 404"),
        ("/file", "the server says 302"),
        ("/round", "the server says 302"),
        ("/large.jpg", f"more than {MAX_BYTES / 1e6:.0f} MB"),
        ("/broken.jpg", "broken.jpg"),
    ],
)
def test_what_is_no_photo_is_refused_in_a_line(facenas: Run, site: str, path: str, words: str) -> None:
    outcome = facenas("detect", site + path)
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("facenas: ")
    assert words in outcome.err.splitlines()[-1]
    assert tempfile.gettempdir() not in outcome.err


def test_one_that_cannot_be_had_costs_the_others_nothing(facenas: Run, site: str) -> None:
    outcome = facenas("detect", f"{site}/absent.jpg", f"{site}/face.jpg", "--json")
    assert outcome.code == 2
    first, second = json.loads(outcome.out)
    assert "404" in first["problem"]
    assert "problem" not in second


def test_a_server_that_drips_is_left(site: str) -> None:
    with pytest.raises(InputError, match=r"did not come within 0\.3 s"), fetched([f"{site}/slow.jpg"], seconds=0.3):
        pass


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://user:pass@127.0.0.1:9/a.jpg", "names and passwords are not sent"),
        ("http:///a.jpg", "it names no host"),
        ("http://127.0.0.1:99999999/a.jpg", "Port out of range"),
        ("http://127.0.0.1:9/a.jpg", "cannot download http://127.0.0.1:9/a.jpg"),
        ("http://[/a.jpg", "Invalid IPv6"),
        ("rtsp://127.0.0.1/stream", "is an address; facenas reads files, cameras and photos on the web"),
        ("ftp://127.0.0.1/a.jpg", "is an address"),
    ],
)
def test_addresses_that_are_not_taken(facenas: Run, address: str, words: str) -> None:
    outcome = facenas("detect", address)
    assert outcome.code == 2
    assert words in outcome.err
    assert "pass@" not in outcome.err
