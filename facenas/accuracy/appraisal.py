"""Judging slices of a supernet: members drawn at random, each exported and run on labelled photos.

A slice is judged as it would be deployed: folded, in ONNX Runtime on one thread, photos scaled to the long side of the
input, AP by the WIDER protocol and by octave of face size. Scores begin at 0.05 instead of 0.02, which changes AP by .0002
to .0007 and halves the time. Photos are decoded and scaled once and kept, up to two gigabytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facenas.architecture import Architecture
from facenas.arrays import FloatArray
from facenas.checkpoint import Checkpoint
from facenas.data.image import read_image
from facenas.devices.cpu import cores
from facenas.devices.targets import resolve_target
from facenas.errors import InputError
from facenas.evaluation.evaluation_set import EvaluationSet
from facenas.evaluation.wider import evaluate_detections
from facenas.exporters.onnx_graph import build_onnx, fold
from facenas.graph import build_graph
from facenas.pipeline.fit import Fitted, LongSide
from facenas.pipeline.pipeline import Pipeline
from facenas.pipeline.preprocess import Preprocessing
from facenas.runtimes.runtime import load_model
from facenas.spaces.elastic_space import ElasticSpace
from facenas.units import Size

MIN_SCORE = 0.05
_KEPT_BYTES = 2_000_000_000
_DIGITS = 5


@dataclass(frozen=True)
class JudgedSlice:
    """`precision`: by input, then by figure (`easy`, `hard`, `mean`, `12-24 px`); None where there is no such face."""

    architecture: str
    precision: Mapping[str, Mapping[str, float | None]]


def random_members(space: ElasticSpace, count: int, seed: int) -> Iterator[Architecture]:
    """`count` members, none twice; fewer are the first of more. Raises InputError where the space has not as many."""
    if count > space.size:
        raise InputError(f"space '{space.name}' has {space.size} networks, not {count}; ask for fewer slices")
    generator = np.random.default_rng(seed)
    drawn: set[Architecture] = set()
    while len(drawn) < count:
        member = space.random_member(generator)
        if member not in drawn:
            drawn.add(member)
            yield member


class SliceJudge:
    """Figures of checkpoints on the same photos at the same inputs: those of the `photos` given that can be read.

    `problems`: why others are left out. Raises InputError where none can be read.
    """

    def __init__(self, photos: EvaluationSet, inputs: Sequence[Size]) -> None:
        self._fits = {str(size): LongSide(max(size.width_px, size.height_px)) for size in inputs}
        self._kept: dict[tuple[str, Path], Fitted] = {}
        self._kept_bytes = 0
        self.photos, self.problems = self._readable(photos)

    def _readable(self, photos: EvaluationSet) -> tuple[EvaluationSet, tuple[str, ...]]:
        def problem(path: Path) -> str | None:
            try:
                photo = read_image(path)
            except InputError as error:
                return str(error)
            for name, fit in self._fits.items():
                self._keep(name, path, fit(photo))
            return None

        with ThreadPoolExecutor(cores()) as pool:
            found = list(pool.map(problem, photos.photos))
        names = [truth.name for truth, why in zip(photos.ground_truth, found, strict=True) if why is None]
        problems = tuple(filter(None, found))
        if not names:
            raise InputError(f"none of the photos of {photos.name} can be read, first: {problems[0]}")
        return photos.of(names), problems

    def __call__(self, checkpoint: Checkpoint) -> JudgedSlice:
        """The average precisions of a checkpoint's detector."""
        graph = build_graph(checkpoint.detector, checkpoint.input_size)
        model = build_onnx(graph, fold(graph, checkpoint.tensors), dynamic=True, metadata={})
        runner = load_model(model.SerializeToString(), resolve_target("cpu"))
        precision = {}
        for name, fit in self._fits.items():
            pipeline = Pipeline(runner, fit, Preprocessing())
            precision[name] = self._precision(pipeline, name)
        return JudgedSlice(str(checkpoint.detector), precision)

    def _precision(self, pipeline: Pipeline, input_name: str) -> dict[str, float | None]:
        def rows(path: Path) -> FloatArray:
            fitted = self._fitted(path, pipeline, input_name)
            outputs = pipeline.runner.run(pipeline.preprocessing.normalise(fitted.picture))
            return pipeline.faces(outputs, fitted, MIN_SCORE).rows

        with ThreadPoolExecutor(cores()) as pool:
            found = pool.map(rows, self.photos.photos)
            names = (truth.name for truth in self.photos.ground_truth)
            evaluation = evaluate_detections(dict(zip(names, found, strict=True)), self.photos)
        settings = evaluation.average_precisions
        counted = [value for value in settings.values() if value is not None]
        mean = {"mean": sum(counted) / len(counted)} if len(counted) > 1 else {}
        figures = {**settings, **mean, **evaluation.by_size}
        return {name: value if value is None else round(value, _DIGITS) for name, value in figures.items()}

    def _fitted(self, path: Path, pipeline: Pipeline, input_name: str) -> Fitted:
        fitted = self._kept.get((input_name, path))
        if fitted is None:
            fitted = pipeline.fit(read_image(path))
        return fitted

    def _keep(self, input_name: str, path: Path, fitted: Fitted) -> None:
        if self._kept_bytes < _KEPT_BYTES:
            self._kept_bytes += fitted.picture.nbytes
            self._kept[input_name, path] = fitted
