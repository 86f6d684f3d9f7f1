"""Photos on the web: `http` and `https` addresses, each downloaded once into a folder that goes with the command.

What is downloaded is a photo of at most MAX_BYTES, within SECONDS in all, and nothing else: the answer must call itself a
photo, redirections lead to other web addresses only, and it is decoded as carefully as a file. No name and password are sent.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from facenas.errors import InputError
from facenas.files import plain_name
from facenas.progress import SILENT, Progress
from facenas.version import __version__

SECONDS = 60.0
MAX_BYTES = 100_000_000
_CONNECT_S = 15.0
_PIECE_BYTES = 1 << 16
_SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/bmp": ".bmp",
    "image/x-ms-bmp": ".bmp",
}


@dataclass(frozen=True)
class Fetched:
    """`sources`: what was given, with a file in the place of each address; `names`: the addresses by these files, as text;
    `problems`: why some could not be had."""

    sources: tuple[Path | str, ...]
    names: Mapping[str, str]
    problems: tuple[str, ...]


def is_address(given: Path | str) -> bool:
    """Whether it is a web address."""
    return isinstance(given, str) and given.lower().startswith(("http://", "https://"))


@contextmanager
def fetched(given: Sequence[Path | str], progress: Progress = SILENT, seconds: float = SECONDS) -> Iterator[Fetched]:
    """Sources with their addresses downloaded, as long as the block lasts. Raises InputError where nothing is left."""
    with TemporaryDirectory(prefix="facenas-") as folder:
        sources: list[Path | str] = []
        names: dict[str, str] = {}
        problems: list[str] = []
        for index, each in enumerate(given):
            if not is_address(each):
                sources.append(each)
                continue
            progress.note(f"downloading {shown(str(each))}")
            try:
                path = _download(str(each), Path(folder) / str(index), seconds)
            except InputError as error:
                problems.append(str(error))
                continue
            sources.append(path)
            names[str(path)] = shown(str(each))
        if given and not sources:
            raise InputError(problems[0])
        yield Fetched(tuple(sources), names, tuple(problems))


def shown(address: str) -> str:
    """An address without name and password, and without what follows its path, which may hold a key."""
    scheme, _, rest = re.split(r"[?#]", address, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _download(address: str, folder: Path, seconds: float) -> Path:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{shown(address)} is no web address: {error}; check it") from error
    if parts.username is not None or not host:
        why = "names and passwords are not sent" if host else "it names no host"
        raise InputError(f"{shown(address)} is not taken: {why}; download the photo and give the file")
    until = time.monotonic() + seconds
    try:
        request = Request(address, headers={"User-Agent": f"facenas/{__version__}", "Accept": "image/*"})
        with _opener().open(request, timeout=min(_CONNECT_S, seconds)) as answer:
            kind = answer.headers.get_content_type()
            if kind not in _SUFFIXES:
                raise InputError(
                    f"{shown(address)} is no photo that can be read but {kind}; download it, and give a file"
                )
            content = bytearray()
            while piece := answer.read1(_PIECE_BYTES):
                content += piece
                if len(content) > MAX_BYTES:
                    raise InputError(f"{shown(address)} has more than {MAX_BYTES / 1e6:.0f} MB; give a smaller photo")
                if time.monotonic() > until:
                    raise InputError(
                        f"{shown(address)} did not come within {seconds:g} s; download it, and give the file"
                    )
    except HTTPError as error:
        raise InputError(f"no photo at {shown(address)}: the server says {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"cannot download {shown(address)}: {reason}; check the address and the network") from error
    folder.mkdir()
    path = folder / f"{plain_name(Path(parts.path).stem) or 'photo'}{_SUFFIXES[kind]}"
    path.write_bytes(content)
    return path


def _opener() -> OpenerDirector:
    """One that knows the web, the proxies of the environment, and nothing else: no files, no FTP."""
    opener = OpenerDirector()
    handlers = (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor, _WebOnly)
    for handler in handlers:
        opener.add_handler(handler())
    return opener


class _WebOnly(HTTPRedirectHandler):
    """Redirections to other web addresses."""

    max_redirections = 5

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """None, and so an error, where it leads elsewhere."""
        return super().redirect_request(req, fp, code, msg, headers, newurl) if is_address(newurl) else None
