"""The learning rate over the steps, and the running average."""

import pytest
import torch
from torch import nn

from facenas.training.optimization import rate_factor, update_average
from facenas.training.recipe import Recipe


def test_cosine_rises_and_falls() -> None:
    rates = [rate_factor(step, 1000, Recipe()) for step in range(1000)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[49] == 1
    assert max(rates) == 1
    assert rates[49:] == sorted(rates[49:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_steps_fall_tenfold_where_the_release_does() -> None:
    recipe = Recipe(schedule="steps")
    rates = {step: rate_factor(step, 640, recipe) for step in (31, 32, 439, 440, 543, 544, 639)}
    assert list(rates.values()) == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_average_forgets_its_beginning_quickly() -> None:
    layer = nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    with torch.no_grad():
        layer.weight.fill_(1.0)
    update_average(average, layer, 0, 0.998)
    assert average["weight"].item() == pytest.approx(0.9)
    update_average(average, layer, 10**6, 0.998)
    assert average["weight"].item() == pytest.approx(0.9 + 0.1 * 0.002)
