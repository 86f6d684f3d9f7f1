"""Files as nobody should send them: `python -P attack.py KIND FIRST COUNT FOLDER`, `tests` on its path.

Case n of a kind is a function of (kind, n): an honest file with bytes, numbers, words or whole branches changed. Each case is
read the way a command reads it; a line of JSON tells how it went: read, refused (an error of facenas, in one line) or a
traceback, with its time and how far the process's memory had grown by then.
"""

import json
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from facenas.errors import FacenasError
from helpers.attacked_files import KINDS, Kind

_HOSTILE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, -(2**70), 1e308, -1e308, 1e-320, 0.5),
    *("", "x" * 5000, "\x1b[31m\n\r\0", "../../x", "写真\u202e", [], {}, [[]], [None], {"": None}, [1, "a"]),
)
_HOSTILE_TEXT = (  # in the place of a value, as JSON that no writer of ours gives
    *("1e999", "NaN", "-Infinity", "9" * 5000, "1" + "0" * 400, '"\\ud800"', "[" * 1500 + "]" * 1500),
    *('{"a":' * 200 + "1" + "}" * 200, '"\\u0000"', "1e-999", "tru", "'", '"' + "y" * 100_000 + '"'),
)
_MARK = "@@hostile@@"
_HOSTILE_WORDS = (
    *(
        "nan",
        "inf",
        "1e400",
        "-1",
        "9" * 5000,
        "1e999",
        "0",
        "\x00",
        "\u2028",
        "#",
        "# #",
        "\x1b[2J",
        "",
        "1_0",
        "٣",
        "0x10",
    ),
    *("1" * 400, "-0", "../..", "/dev/zero", "a" * 300, "[" * 2000, "'''", '"""', "a." * 2000, "1979-05-27", "{}"),
)


def damaged(content: bytes, kind: Kind, rng: np.random.Generator) -> bytes:
    """Another version of a file, by one or several changes."""
    ways: list[Callable[[bytes, np.random.Generator], bytes]] = [_bytes]
    if kind.form == "json":
        ways = [_branches, _branches, _branches, _bytes]
    elif kind.form == "text":
        ways = [_words, _words, _bytes]
    elif kind.form == "safetensors":
        ways = [_header, _header, _header, _flips, _bytes]
    elif kind.form == "onnx":
        ways = [_model, _model, _model, _flips, _bytes]
    elif kind.form == "bytes":
        ways = [_flips, _bytes]
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        content = ways[int(rng.integers(len(ways)))](content, rng)
    return content


def _bytes(content: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(content)
    place, length = int(rng.integers(len(data) + 1)), int(rng.integers(1, 1 + max(1, len(data) // 8)))
    way = int(rng.integers(6))
    if way == 0:
        return bytes(data[:place])
    if way == 1:
        del data[place : place + length]
    elif way == 2:
        data[place:place] = rng.integers(0, 256, min(length, 4096), dtype=np.uint8).tobytes()
    elif way == 3:
        data[place:place] = data[place : place + length]
    elif way == 4:
        data[place : place + 8] = b"\xff" * 8
    else:
        for at in rng.integers(0, max(1, len(data)), int(rng.integers(1, 30))):
            if at < len(data):
                data[at] = int(rng.integers(256))
    return bytes(data)


def _flips(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes only, so that what is around them still makes sense."""
    data = bytearray(content)
    for at in rng.integers(0, len(data), int(rng.integers(1, 6))) if data else ():
        data[at] = int(rng.integers(256))
    return bytes(data)


def _header(content: bytes, rng: np.random.Generator) -> bytes:
    """A checkpoint with something else in its header, or in the description that the header carries as text."""
    end = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:end])
        described = header["__metadata__"]["facenas"]
        if rng.random() < 0.7:
            header["__metadata__"]["facenas"] = _branches(described.encode(), rng).decode()
            changed = json.dumps(header).encode()
        else:
            changed = _branches(content[8:end], rng)
    except (ValueError, LookupError, TypeError, RecursionError):
        return _bytes(content, rng)
    return len(changed).to_bytes(8, "little") + changed + content[end:]


def _model(content: bytes, rng: np.random.Generator) -> bytes:
    """An ONNX model with another description, shape, number, name, node or place of its weights."""
    import onnx

    try:
        model = onnx.load_from_string(content)
        graph, way = model.graph, int(rng.integers(8))
        if way <= 1:
            entry = model.metadata_props[0]
            entry.value = _branches(entry.value.encode(), rng).decode()
        elif way == 2:
            dim = graph.input[0].type.tensor_type.shape.dim[int(rng.integers(4))]
            dim.dim_value = int(rng.choice([0, -1, 1, 31, 65, 99_968, 2**31, 2**62]))
        elif way == 3:
            tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
            tensor.dims[int(rng.integers(len(tensor.dims)))] = int(rng.choice([0, -1, 7, 2**31, 2**62]))
        elif way == 4:
            tensor = graph.initializer[int(rng.integers(len(graph.initializer)))]
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            place = ("/etc/passwd", "../w.bin", "w.bin", "/dev/zero", "")[int(rng.integers(5))]
            tensor.external_data.add(key="location", value=place)
        elif way == 5:
            node = graph.node[int(rng.integers(len(graph.node)))]
            node.op_type = str(rng.choice(["Relu", "Loop", "ConstantOfShape", "Nothing", "", "Conv"]))
        elif way == 6:
            del graph.node[int(rng.integers(len(graph.node)))]
        else:
            node = graph.node[int(rng.integers(len(graph.node)))]
            for attribute in node.attribute:
                for index in range(len(attribute.ints)):
                    attribute.ints[index] = int(rng.choice([0, -1, 2**31, 2**40, 3]))
        return bytes(model.SerializeToString())
    except Exception:  # noqa: BLE001 - what an earlier change has left
        return _bytes(content, rng)


def _branches(content: bytes, rng: np.random.Generator) -> bytes:
    try:
        lines = [json.loads(line) for line in content.split(b"\n") if line] if content[:9] == b'{"plan": ' else None
        value = json.loads(content) if lines is None else lines
    except (ValueError, RecursionError):  # what an earlier change has left
        return _bytes(content, rng)
    places = _places(value)
    if not places:
        return _bytes(content, rng)
    holder, key = places[int(rng.integers(len(places)))]
    text, way = "", int(rng.integers(5))
    if way == 0 and isinstance(holder, dict):
        del holder[key]
    elif way == 1:
        holder[key] = _MARK
        text = _HOSTILE_TEXT[int(rng.integers(len(_HOSTILE_TEXT)))]
    elif way == 2 and isinstance(holder, dict):
        holder[str(_HOSTILE[int(rng.integers(len(_HOSTILE)))])] = holder.pop(key)
    else:
        holder[key] = _HOSTILE[int(rng.integers(len(_HOSTILE)))]
    written = json.dumps(value) if lines is None else "\n".join(map(json.dumps, value)) + "\n"
    return written.replace(f'"{_MARK}"', text).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        item = pending.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        for key in keys:
            found.append((item, key))
            pending.append(item[key])
    return found


def _words(content: bytes, rng: np.random.Generator) -> bytes:
    words = content.decode(errors="surrogateescape").split(" ")
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(words)))
        hostile = _HOSTILE_WORDS[int(rng.integers(len(_HOSTILE_WORDS)))]
        way = int(rng.integers(3))
        if way == 0:
            words[place] = hostile
        elif way == 1:
            words.insert(place, hostile)
        else:
            words[place] = words[place].replace("\n", f"\n{hostile}\n") if "\n" in words[place] else hostile
    return " ".join(words).encode(errors="surrogateescape")


def run(name: str, first: int, count: int, folder: Path) -> None:
    """Tell of each case as it is done."""
    kind = KINDS[name]
    honest = kind.make(folder)
    kind.read(honest)  # as it should be, so that what is loaded once counts for no case
    contents = {path: path.read_bytes() for path in kind.attacked(honest)}
    before = _memory_mb()
    for number in range(first, first + count):
        rng = np.random.default_rng((crc32(name.encode()), number))
        path = list(contents)[number % len(contents)]
        path.write_bytes(damaged(contents[path], kind, rng))
        started, words = time.monotonic(), ""
        try:
            kind.read(honest)
            outcome = "read"
        except FacenasError as error:
            outcome, words = "refused", str(error)
            if not words.isprintable():
                outcome = "steers a terminal"
        except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
            outcome, words = "traceback", traceback.format_exc()
        path.write_bytes(contents[path])
        told = {
            "case": number,
            "outcome": outcome,
            "words": words[-3000:],
            "seconds": round(time.monotonic() - started, 2),
        }
        print(json.dumps({**told, "grown_mb": round(_memory_mb() - before)}), flush=True)


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
