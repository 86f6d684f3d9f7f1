"""Recipes: steps from epochs, and numbers that make no sense are refused."""

import json
from dataclasses import asdict

import pytest

from facenas.errors import InputError
from facenas.training.recipe import Recipe, default_rate_and_decay


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
        ({"optimizer": "adam"}, "no optimizer 'adam'; there are adamw, sgd"),
        ({"schedule": "linear"}, "no schedule 'linear'; there are cosine, steps"),
        ({"mosaic_share": 1.5}, "mosaic_share 1.5 is outside 0..1"),
        ({"pasted_faces": -1}, "pasted_faces -1"),
        ({"pasted_faces": 100_000}, "pasted_faces 100000 must be a whole number, 0 to 100"),
        ({"size_px": 1_000_000}, "size_px 1000000 must be a whole number, 0 to 2,048"),
        ({"seed": -1}, "seed -1 must be 0 or more"),
        ({"seed": 2**64}, "seed"),
        ({"epochs": 1.5}, "epochs 1.5 must be a whole number"),
        ({"batch_size": True}, "batch_size True must be a whole number"),
        ({"learning_rate": float("inf")}, "learning_rate inf is outside"),
        ({"weight_decay": float("nan")}, "weight_decay nan is outside"),
        ({"warmup_share": -0.1}, "warmup_share -0.1 is outside"),
        ({"crop_scales": ()}, "crop_scales are none"),
        ({"crop_scales": (0.5, 0.0)}, "crop_scales 0.0 is outside"),
        ({"teacher_share": "0.5"}, "teacher_share 0.5 is outside"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(InputError) as raised:
        Recipe(**values)  # type: ignore[arg-type]
    assert words in str(raised.value)


def test_a_stored_recipe_that_lacks_a_number_had_its_default() -> None:
    stored = json.loads(json.dumps(asdict(Recipe(seed=3))))
    del stored["mosaic_share"], stored["schedule"]
    assert Recipe(seed=3).differences(stored) == []
    assert Recipe(seed=3, mosaic_share=0.5, batch_size=2).differences(stored) == ["batch_size", "mosaic_share"]


def test_each_optimizer_has_rates_that_suit_it() -> None:
    assert default_rate_and_decay("adamw") == (Recipe().learning_rate, Recipe().weight_decay)
    assert default_rate_and_decay("sgd") == (0.02, 5e-4)
    with pytest.raises(InputError, match="no optimizer 'adam'"):
        default_rate_and_decay("adam")
