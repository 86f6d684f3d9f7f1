"""All photos of a training, decoded, in the memory of the device that trains: four bytes a pixel, one behind the other.

A pixel is red, green, blue and 255, so that one read fetches it whole and one product with four rows colours it. Of a photo
that crops will shrink, smaller copies lie behind it, each of half the sides of the one before.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facenas.arrays import IntArray
from facenas.data.annotations import Dataset
from facenas.data.image import Photo, read_image, resize
from facenas.devices.cpu import cores, free_memory_bytes
from facenas.errors import InputError
from facenas.progress import SILENT, Progress
from facenas.training.recipe import Recipe

_PIXEL_BYTES = 4
_SPARED = 0.8  # of the free memory: the network needs some, too
_AHEAD = 64


class PhotoMemory:
    """starts: int64 [p, levels], the pixel that each copy of each photo starts at; sizes: int64 [p, levels, 2], width and
    height of each; `problems`: of each photo that could not be decoded, by its index, why."""

    def __init__(self, dataset: Dataset, recipe: Recipe, device: torch.device, *, progress: Progress = SILENT) -> None:
        """Raises InputError where the photos are too many for the device."""
        self.device = device
        size = np.array([(photo.width_px, photo.height_px) for photo in dataset.photos], np.int64)
        greatest_shrink = max(recipe.crop_scales) * int(size.min(axis=1).max()) / recipe.size_px
        self.levels = 1 + max(0, math.floor(math.log2(max(1.0, greatest_shrink))))
        self.sizes: IntArray = np.stack([np.maximum(1, size >> level) for level in range(self.levels)], axis=1)
        counts = self.sizes.prod(axis=2)
        self.starts: IntArray = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape)
        self.problems: dict[int, str] = {}
        _require_memory(device, int(counts.sum()) * _PIXEL_BYTES, dataset)
        self._pixels = torch.empty(int(counts.sum()), dtype=torch.int32, device=device)
        self._fill(dataset, progress)

    def read(self, index: Tensor) -> Tensor:
        """float32 [..., 4] of the pixels at `index` int64 [...]."""
        pixels = torch.take(self._pixels, index)
        return pixels.view(torch.uint8).view(*index.shape, _PIXEL_BYTES).float()

    def _fill(self, dataset: Dataset, progress: Progress) -> None:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # as many photos as there are cores are under way
        try:
            with ThreadPoolExecutor(cores()) as pool:
                for first in range(0, len(dataset.photos), _AHEAD):
                    group = range(first, min(first + _AHEAD, len(dataset.photos)))
                    for index, copies in zip(group, pool.map(lambda at: self._decode(dataset, at), group), strict=True):
                        for start, pixels in zip(self.starts[index], copies, strict=False):
                            self._pixels[int(start) : int(start) + len(pixels)] = torch.from_numpy(pixels)
                    progress(group[-1] + 1, len(dataset.photos), "decoding photos")
        finally:
            cv2.setNumThreads(threads)
        if len(self.problems) == len(dataset.photos):
            raise InputError(
                f"none of the {len(dataset.photos)} photos of {dataset.name} can be decoded; check the files"
            )

    def _decode(self, dataset: Dataset, index: int) -> list[npt.NDArray[np.int32]]:
        """int32 [pixels] of each copy of a photo; none where it cannot be decoded."""
        try:
            pixels = read_image(dataset.photos[index].path)
        except InputError as error:
            self.problems[index] = str(error)
            return []
        return [_packed(each) for each in _halved(pixels, self.sizes[index].tolist())]


def _halved(pixels: Photo, sizes: list[list[int]]) -> Iterator[Photo]:
    for width, height in sizes:
        if pixels.shape[1::-1] != (width, height):
            pixels = resize(pixels, width, height, cv2.INTER_AREA)
        yield pixels


def _packed(pixels: Photo) -> npt.NDArray[np.int32]:
    with_constant = np.full((*pixels.shape[:2], _PIXEL_BYTES), 255, np.uint8)
    with_constant[..., :3] = pixels
    return with_constant.view(np.int32).ravel()


def _require_memory(device: torch.device, needed_bytes: int, dataset: Dataset) -> None:
    on_gpu = device.type == "cuda"
    free_bytes = int(torch.cuda.mem_get_info(device)[0]) if on_gpu else free_memory_bytes()
    if free_bytes and needed_bytes > _SPARED * free_bytes:
        raise InputError(
            f"the {len(dataset.photos)} photos of {dataset.name} take {needed_bytes / 1e9:.1f} GB in the memory of"
            f" {device.type}, {free_bytes / 1e9:.1f} GB are free; scale them down with `facenas pack --long-side`, or train"
            " without --photos-on-device"
        )
