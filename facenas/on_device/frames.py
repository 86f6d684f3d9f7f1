"""Frames: how host and agent speak over any pipe (ssh, adb, a local process).

    frame = "FNAS"  length of the body (4 bytes, big-endian)  CRC-32 of the body (4 bytes)  body
    body  = one line of JSON, a line feed, bytes (an ONNX model, an optimised graph, a timing cache)

The agent's first line is `facenas-agent 1`, so that a login shell's greeting before it can be skipped. This file is also
run on devices: Python 3.8 or later, no package.
"""

from __future__ import annotations  # for Python 3.8

import json
import struct
import zlib
from typing import Any, BinaryIO, Dict, Tuple  # noqa: UP035 - these two for Python 3.8

Message = Tuple[Dict[str, Any], bytes]  # noqa: UP006

VERSION = 1
GREETING = f"facenas-agent {VERSION}\n".encode()
MAX_BODY_BYTES = 64 << 20
HEADER = struct.Struct(">4sII")
_MAGIC = b"FNAS"
_CHUNK_BYTES = 1 << 20


class FrameError(Exception):
    """The stream is out of step or damaged; nothing that follows can be trusted."""


def pack_frame(message: dict[str, Any], data: bytes = b"") -> bytes:
    """The bytes of one frame. Raises FrameError where it would be too long."""
    body = json.dumps(message, separators=(",", ":")).encode() + b"\n" + data
    if len(body) > MAX_BODY_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is longer than the {MAX_BODY_BYTES} allowed")
    return HEADER.pack(_MAGIC, len(body), zlib.crc32(body)) + body


def parse_header(header: bytes) -> tuple[int, int]:
    """Length and CRC-32 of the body that a header announces. Raises FrameError."""
    magic, length, checksum = HEADER.unpack(header)
    if magic != _MAGIC:
        raise FrameError(f"a frame begins with {magic!r}, not with {_MAGIC!r}")
    if length > MAX_BODY_BYTES:
        raise FrameError(f"a frame of {length} bytes is longer than the {MAX_BODY_BYTES} allowed")
    return length, checksum


def parse_body(body: bytes, checksum: int) -> Message:
    """JSON object and bytes of a frame's body. Raises FrameError."""
    if zlib.crc32(body) != checksum:
        raise FrameError("a frame was damaged on its way (its checksum is wrong)")
    line, _, data = body.partition(b"\n")
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise FrameError("a frame holds no JSON") from None
    if not isinstance(message, dict):
        raise FrameError("a frame holds no JSON object")
    return message, data


def read_frame(stream: BinaryIO) -> Message | None:
    """The next frame, or None at the end of the stream. Memory is taken only as bytes arrive. Raises FrameError."""
    header = _read(stream, HEADER.size)
    if not header:
        return None
    if len(header) < HEADER.size:
        raise FrameError("the stream ends in the middle of a frame")
    length, checksum = parse_header(header)
    body = _read(stream, length)
    if len(body) < length:
        raise FrameError("the stream ends in the middle of a frame")
    return parse_body(body, checksum)


def _read(stream: BinaryIO, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        part = stream.read(min(count - len(received), _CHUNK_BYTES))
        if not part:
            break
        received += part
    return bytes(received)
