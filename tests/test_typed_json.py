"""JSON into dataclasses: what fits is read, what does not is named with its place."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from facenas.errors import InputError
from facenas.typed_json import read_as


@dataclass(frozen=True)
class Inner:
    name: str
    share: float | None = None


@dataclass(frozen=True)
class Outer:
    count: int
    inner: tuple[Inner, ...]
    by_name: Mapping[str, float]
    good: bool = True


def test_what_fits_is_read_and_unknown_keys_are_passed_over() -> None:
    value = {
        "count": 2,
        "inner": [{"name": "a", "share": None}, {"name": "b", "share": 1}],
        "by_name": {"x": 1},
        "new": 0,
    }
    assert read_as(Outer, value, "file") == Outer(2, (Inner("a"), Inner("b", 1.0)), {"x": 1.0})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 2.5}, "file, count should be a whole number, is '2.5'"),
        ({"count": True}, "file, count should be a whole number"),
        ({"good": 1}, "file, good should be true or false"),
        ({"inner": {}}, "file, inner should be a list"),
        ({"inner": [{"share": 1}]}, "file, inner, entry 1 lacks 'name'"),
        ({"by_name": {"x": float("nan")}}, "file, by_name, x should be a finite number"),
        ({"by_name": []}, "file, by_name should be an object"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], words: str) -> None:
    value: dict[str, object] = {"count": 2, "inner": [], "by_name": {}}
    with pytest.raises(InputError, match=words):
        read_as(Outer, value | change, "file")
