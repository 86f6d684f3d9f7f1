"""How long do decoding and non-maximum suppression take, on output maps as a crowd and as a few faces give them?"""

from collections.abc import Callable, Mapping

import numpy as np

from facenas.arrays import FloatArray
from facenas.graph import BOX_CHANNELS, SCORE_CHANNELS, STRIDES
from facenas.pipeline.postprocess import find_faces

WIDTH_PX, HEIGHT_PX = 640, 480


def output_maps(face_cells: int) -> dict[str, FloatArray]:
    """Output maps of a 640x480 image in which `face_cells` cells of each level fire, the rest do not."""
    generator = np.random.default_rng(0)
    outputs = {}
    for stride in STRIDES:
        rows, columns = HEIGHT_PX // stride, WIDTH_PX // stride
        maps = np.zeros((1, BOX_CHANNELS.stop, rows, columns), np.float32)
        maps[0, SCORE_CHANNELS] = -6
        firing = generator.permutation(rows * columns)[:face_cells]
        maps[0, SCORE_CHANNELS].reshape(-1, rows * columns)[:, firing] = generator.uniform(-2, 3, len(firing))
        maps[0, BOX_CHANNELS] = generator.uniform(1, 4, maps[0, BOX_CHANNELS].shape)
        outputs[f"output_{stride}"] = maps
    return outputs


def workloads(quick: bool) -> Mapping[str, Callable[[], object]]:
    """What `facenas bench` times."""
    few, crowd = output_maps(12), output_maps(280)
    return {
        "decode and suppress: few faces": lambda: find_faces(few, 0.3),
        "decode and suppress: crowd, from 0.02": lambda: find_faces(crowd, 0.02),
    }
