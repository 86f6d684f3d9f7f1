"""Faces in many photo files, as fast as the processor's cores allow.

Decoding, scaling, the network and the suppression of one photo stay on one thread, and as many photos are under way as
there are cores: no thread waits for another, and no network is split among cores, which costs small ones half their gain.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from facenas.data.image import Photo, read_image
from facenas.detector.face_detector import FaceDetector
from facenas.devices.cpu import cores
from facenas.pipeline.faces import Faces

Use = Callable[[Path, Photo, Faces], None]


def detect_files(
    detector: FaceDetector, paths: Sequence[Path], min_score: float, use: Use | None = None
) -> Iterator[tuple[Path, Faces]]:
    """The faces of each photo, in the order of `paths`; `use` gets each photo with its faces while it is in memory.

    Raises InputError at the first photo that cannot be read.
    """

    def find(path: Path) -> tuple[Path, Faces]:
        photo = read_image(path)
        faces = detector(photo, min_score)
        if use is not None:
            use(path, photo, faces)
        return path, faces

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # its own threads would compete with ours
    try:
        if cores() == 1:  # a thread beside this one would only cost
            yield from map(find, paths)
            return
        with ThreadPoolExecutor(cores()) as pool:
            yield from pool.map(find, paths)
    finally:
        cv2.setNumThreads(threads)
