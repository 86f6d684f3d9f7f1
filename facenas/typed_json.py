"""JSON into frozen dataclasses, by their annotations: what is missing or of another kind is named with its place.

So the type that wrote a file reads it.
"""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from facenas.errors import InputError
from facenas.files import read_json

T = TypeVar("T")


def read_as(kind: type[T], value: object, where: str) -> T:
    """`value`, as parsed from JSON, as a `kind`: a dataclass, number, text, path, word of a StrEnum, tuple, mapping by text,
    or a union of these; a class with a method `from_text` is read from text.

    Keys that the dataclass does not know are passed over; fields with a default may be missing. Raises InputError that
    names the place within `where`.
    """
    return typing.cast(T, _read(kind, value, where))


def read_file(kind: type[T], path: Path, what: str) -> T:
    """The JSON file at `path`, called `what` in errors, as a `kind`. Raises InputError."""
    return read_as(kind, read_json(path, what), str(path))


def _read(kind: Any, value: object, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _read(next(option for option in arguments if option is not type(None)), value, where)
    if hasattr(kind, "from_text") and isinstance(value, str):
        return kind.from_text(value)
    if is_dataclass(kind):
        return _read_dataclass(kind, value, where)
    if origin is tuple:
        return _read_tuple(arguments, value, where)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _unlike("an object", value, where)
        return {key: _read(arguments[1], item, f"{where}, {key}") for key, item in value.items()}
    return _read_plain(kind, value, where)


def _read_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise _unlike("an object", value, where)
    hints = typing.get_type_hints(kind)
    given = {}
    for field in fields(kind):
        if field.name in value:
            given[field.name] = _read(hints[field.name], value[field.name], f"{where}, {field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{where} lacks '{field.name}'; make it again with this version")
    return kind(**given)


def _read_tuple(arguments: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _unlike("a list", value, where)
    if arguments[-1] is not Ellipsis and len(value) != len(arguments):
        raise _unlike(f"{len(arguments)} values", value, where)
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
    pairs = zip(kinds, value, strict=True)
    return tuple(_read(kind, item, f"{where}, entry {index}") for index, (kind, item) in enumerate(pairs, 1))


def _read_plain(kind: Any, value: object, where: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind is not float and type(value) is kind:
        return value
    if kind is Path and isinstance(value, str):
        return Path(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(value, str) and value in list(kind):
        return kind(value)
    names = {float: "a finite number", int: "a whole number", str: "text", bool: "true or false"}
    raise _unlike(names.get(kind, str(kind)), value, where)


def _unlike(wanted: str, value: object, where: str) -> InputError:
    return InputError(f"{where} should be {wanted}, is {str(value)[:40]!r}; make it again with this version")
