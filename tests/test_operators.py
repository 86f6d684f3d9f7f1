"""Operators: the keys of latency tables; they print and parse back, and count what a convolution costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.errors import InputError
from facenas.operators import Kind, Operator

COUNTS = st.integers(1, 5000)
OPERATORS = st.builds(
    Operator, st.sampled_from(tuple(Kind)), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans()
)


@given(OPERATORS)
def test_operators_print_and_parse_back(operator: Operator) -> None:
    assert Operator.from_text(str(operator)) == operator


@given(OPERATORS, OPERATORS)
def test_different_operators_have_different_keys(one: Operator, other: Operator) -> None:
    assert (str(one) == str(other)) == (one == other)


def test_the_printed_form() -> None:
    stem = Operator(Kind.CONV, 3, 32, 3, 2, 480, 640, relu=True)
    assert str(stem) == "conv+relu 3->32 k3s2 640x480"
    assert str(Operator(Kind.CONV, 8, 32, 1, 1, 60, 80, add=True, relu=True)) == "conv+add+relu 8->32 k1s1 80x60"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "conv",
        "conv+relu 3->32 k3s2 640",
        "pool 3->32 k3s2 640x480",
        "conv+relu+add 3->32 k3s2 640x480",
        "conv 3-32 k3s2 640x480",
        "conv -3->32 k3s2 640x480",
        "conv ٣->32 k3s2 640x480",
        " conv 3->32 k3s2 640x480",
    ],
)
def test_a_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no operator; one reads for example") as raised:
        Operator.from_text(text)
    assert f"'{text}'" in str(raised.value)


@pytest.mark.parametrize(
    ("operator", "macs", "out_values", "in_values"),
    [
        (Operator(Kind.CONV, 3, 32, 3, 2, 480, 640), 32 * 27 * 240 * 320, 32 * 240 * 320, 3 * 480 * 640),
        (Operator(Kind.CONV, 3, 2, 3, 2, 5, 7), 2 * 27 * 3 * 4, 2 * 3 * 4, 3 * 5 * 7),
        (Operator(Kind.DEPTHWISE, 16, 16, 5, 1, 6, 8), 16 * 25 * 6 * 8, 16 * 6 * 8, 16 * 6 * 8),
        (Operator(Kind.CONV, 4, 8, 1, 1, 6, 8, add=True), 8 * 4 * 6 * 8, 8 * 6 * 8, 4 * 6 * 8 + 8 * 6 * 8),
        (Operator(Kind.UPSAMPLE, 16, 16, 2, 1, 6, 8), 0, 16 * 12 * 16, 16 * 6 * 8),
    ],
)
def test_costs_by_hand(operator: Operator, macs: int, out_values: int, in_values: int) -> None:
    assert (operator.macs, operator.out_values, operator.in_values) == (macs, out_values, in_values)
