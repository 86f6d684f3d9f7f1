"""How long does a prediction take? The table is read once; a whole network is predicted, as `facenas predict` does."""

from collections.abc import Callable, Mapping

from facenas.architecture import published_detector
from facenas.devices.targets import resolve_target
from facenas.latency.predictor import OperatorCosts, predict
from facenas.latency.table import find_table
from facenas.units import Size


def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:
    """What `facenas bench` times."""
    size = Size(640, 480)
    table = find_table(resolve_target("cpu"), size)
    detector = published_detector("damofd-0.5g")
    return {
        "predict: read the table": lambda: find_table(resolve_target("cpu"), size),
        "predict: one network": lambda: predict(detector, table, size, OperatorCosts(table)),
    }
