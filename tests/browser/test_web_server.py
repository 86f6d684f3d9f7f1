from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from facenas.browser.web_server import WebServer


def test_files_go_out_and_come_in_at_their_names() -> None:
    server = WebServer({"page.html": b"<p>page</p>"})
    try:
        with urlopen(server.address_of("page.html")) as reply:
            assert reply.read() == b"<p>page</p>"
            assert reply.headers["Content-Type"] == "text/html"
            assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert reply.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        server.files["later"] = b"\0\1"
        with urlopen(server.address_of("later")) as reply:
            assert reply.read() == b"\0\1"
        urlopen(Request(server.address_of("given"), b"values", method="PUT")).close()
        assert server.taken == {"given": b"values"}
    finally:
        server.end()


def test_nothing_is_told_without_the_secret_nor_beside_the_files() -> None:
    server = WebServer({"page.html": b"page"})
    try:
        origin = server.address_of("").rsplit("/", 2)[0]
        for address in (f"{origin}/page.html", f"{origin}/guess/page.html", server.address_of("../page.html")):
            with pytest.raises(HTTPError, match="404"):
                urlopen(address)
        with pytest.raises(HTTPError, match="404"):
            urlopen(Request(f"{origin}/guess/given", b"values", method="PUT"))
        assert not server.taken
    finally:
        server.end()


def test_a_port_that_is_taken_is_never_asked_for() -> None:
    servers = [WebServer({}) for _ in range(8)]
    try:
        assert len({server.address_of("").split("/")[2] for server in servers}) == 8
    finally:
        for server in servers:
            server.end()
