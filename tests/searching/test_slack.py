"""A budget that binds nothing is known by the space's slowest network, which brute force finds, too."""

import numpy as np
import pytest
from helpers.tiny_tables import TINY_INPUT, tiny_space, tiny_table

from facenas.latency.predictor import predict
from facenas.scoring.ddsar import ScoreSettings
from facenas.searching.budgets import Budgets
from facenas.searching.costs import TableModel
from facenas.searching.problem import Problem
from facenas.searching.slack import slack_budgets


def slack(limit_ms: float) -> dict[str, float]:
    models = {"cpu": TableModel(tiny_table())}
    return slack_budgets(Problem(tiny_space(), ScoreSettings(), TINY_INPUT, models, Budgets({"cpu": limit_ms})))


def test_a_budget_above_the_slowest_network_binds_nothing() -> None:
    space, found = tiny_space(), set()
    for detector in space.random_detectors(np.random.default_rng(0)):
        found.add(detector)
        if len(found) == space.size:
            break
    slowest_ms = max(predict(detector, tiny_table(), TINY_INPUT).latency_ms for detector in found)
    assert slack(slowest_ms + 1e-6) == {"cpu": pytest.approx(slowest_ms)}
    assert slack(slowest_ms - 1e-6) == {}
