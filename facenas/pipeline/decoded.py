"""Reading a file that decodes and suppresses itself: its outputs are the faces, in pixels of its input.

`boxes` float32 [n, 4] x1 y1 x2 y2, `scores` float32 [n] in 0..1, best first, and `landmarks` float32 [n, 5, 2] where the
detector has them. Suppression is greedy from the best face down, so that leaving out the faces below a score afterwards
gives what suppressing those above it would have given.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from facenas.arrays import FloatArray
from facenas.errors import InputError
from facenas.pipeline.faces import Faces
from facenas.pipeline.postprocess import MAX_CANDIDATES

BOXES, SCORES, LANDMARKS = "boxes", "scores", "landmarks"


@dataclass(frozen=True)
class Decoding:
    """What a file's own decoder keeps: faces from `min_score` on, suppressed among the best `max_candidates`."""

    min_score: float
    max_candidates: int = MAX_CANDIDATES

    def __post_init__(self) -> None:
        if not 0 < self.min_score < 1 or self.max_candidates < 1:
            raise InputError(
                f"a decoder of scores from {self.min_score} and {self.max_candidates} candidates cannot be;"
                " scores lie between 0 and 1, candidates are 1 or more"
            )

    def __call__(self, outputs: Mapping[str, FloatArray], min_score: float) -> Faces:
        """The faces among the outputs with scores >= `min_score`. Raises InputError where the file left such faces out."""
        if min_score < self.min_score:
            raise InputError(
                f"the file's decoder keeps faces with scores from {self.min_score}, not from {min_score}; ask for those, or"
                " export without --decode"
            )
        landmarks = outputs.get(LANDMARKS)
        faces = Faces(outputs[BOXES], outputs[SCORES], landmarks)
        return faces.take(np.flatnonzero(faces.scores >= min_score))

    def to_json(self) -> dict[str, float | int]:
        """Plain values for an artefact's metadata."""
        return asdict(self)
