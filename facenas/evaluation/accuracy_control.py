"""Average precision as the judge of a quantiser that tries which layers int8 costs too much."""

from facenas.arrays import FloatArray
from facenas.data.image import read_image
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.gates import AP_DROPS
from facenas.evaluation.protocols import evaluate
from facenas.exporters.artefact import Description
from facenas.exporters.openvino import AccuracyControl, Run


class _Network:
    """A function that runs a network, as a Runner."""

    def __init__(self, run: Run) -> None:
        self.run = run


def accuracy_control(photos: EvaluationSet, description: Description) -> AccuracyControl:
    """NNCF's judge: the mean of the settings' average precisions on `photos`, and the drop that verification allows."""

    def image(index: int) -> FloatArray:
        return description.network_input(read_image(photos.photos[index]))

    def average_precision(run: Run) -> float:
        figures = evaluate(description.pipeline(_Network(run)), photos).average_precisions.values()
        known = [figure for figure in figures if figure is not None]
        return sum(known) / max(1, len(known))

    return AccuracyControl(len(photos.photos), image, average_precision, AP_DROPS["int8"])
