"""By how much chance moves a drop of average precision: other photos of the same kind would have given another.

Paired bootstrap: as many photos are drawn anew, with replacement and for both networks alike, and judged. With the standard
deviation s of the largest drop over `DRAWS` such draws from n photos,

error = 1.645 s sqrt(n / (n - 1)),

within which nine of ten drops lie. What both networks get wrong alike cancels out: equal detections have no error at all.
"""

from collections.abc import Mapping

import numpy as np

from facenas.arrays import Float64Array, FloatArray
from facenas.evaluation.photo_counts import PhotoCounts

DRAWS = 1000
_DRAWS_AT_ONCE = 100
_SEED = 0
_NINE_OF_TEN = 1.645


def drop_error(reference: Mapping[str, PhotoCounts], artefact: Mapping[str, PhotoCounts]) -> float | None:
    """The error of the largest drop over all settings that have faces, of the same photos in the same order; None of fewer
    than two photos, which tell none."""
    settings = [name for name, counts in reference.items() if counts.faces.any()]
    if not settings or (photos := len(reference[settings[0]].faces)) < 2:
        return None
    random = np.random.default_rng(_SEED)
    drops: list[Float64Array] = []
    for _ in range(0, DRAWS, _DRAWS_AT_ONCE):
        times: FloatArray = random.multinomial(photos, np.full(photos, 1 / photos), _DRAWS_AT_ONCE).astype(np.float32)
        before, after = (
            np.stack([each[name].average_precisions(times) for name in settings]) for each in (reference, artefact)
        )
        drops.append((before - after).max(axis=0))
    spread = float(np.concatenate(drops).std())
    return round(_NINE_OF_TEN * spread * float(np.sqrt(photos / (photos - 1))), 5)
