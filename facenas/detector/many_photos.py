"""Faces in many photo files, as fast as the processor's cores allow.

Decoding, scaling, the network and the suppression of one photo stay on one thread, and as many photos are under way as
there are cores: no thread waits for another, and no network is split among cores, which costs small ones half their gain.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from facenas.data.image import Photo, read_image
from facenas.devices.cpu import cores
from facenas.errors import InputError
from facenas.pipeline.faces import Faces

Detect = Callable[[Photo, float], Faces]
Use = Callable[[int, Photo, Faces], None]


def detect_files(
    detector: Detect, paths: Sequence[Path], min_score: float, use: Use | None = None
) -> Iterator[tuple[Path, Faces | InputError]]:
    """The faces of each photo, in the order of `paths`, or why it could not be read; `use` gets the index, the pixels and
    the faces of each while it is in memory, and what it raises ends all.
    """

    def find(index: int) -> tuple[Path, Faces | InputError]:
        try:
            photo = read_image(paths[index])
            faces = detector(photo, min_score)
        except InputError as error:
            return paths[index], error
        if use is not None:
            use(index, photo, faces)
        return paths[index], faces

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # its own threads would compete with ours
    try:
        if cores() == 1:  # a thread beside this one would only cost
            yield from map(find, range(len(paths)))
            return
        with ThreadPoolExecutor(cores()) as pool:
            yield from pool.map(find, range(len(paths)))
    finally:
        cv2.setNumThreads(threads)
