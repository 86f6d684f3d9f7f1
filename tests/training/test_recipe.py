"""Recipes: steps from epochs, and numbers that make no sense are refused."""

import pytest

from facenas.errors import InputError
from facenas.training.recipe import Recipe


def test_steps_follow_from_epochs_and_photos() -> None:
    assert Recipe(epochs=12, batch_size=16).steps(5891) == 12 * 5891 // 16
    assert Recipe(epochs=1, batch_size=16).steps(3) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs 0 must be more than zero"),
        ({"batch_size": -1}, "batch_size -1 must be more than zero"),
        ({"learning_rate": 0.0}, "learning_rate 0.0 must be more than zero"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"size_px": 32}, "crop size 32 px must be a multiple of 32, at least 64"),
        ({"size_px": 100}, "crop size 100 px"),
        ({"average_decay": 1.0}, "average_decay 1.0 is outside 0..1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(InputError) as raised:
        Recipe(**values)  # type: ignore[arg-type]
    assert words in str(raised.value)
