"""The pixels of a batch of crops, made by torch wherever the photos lie: one function for CPU and GPU.

    crop(x', y') = colours . bilinear(photo, ((x', y') - place + 1/2) * seen / place - 1/2 + corner)

then, in some crops, a blur or the loss of a JPEG file, black where the crop exceeds its photo, and some are turned at last.
Where a crop shrinks its photo by two or more, a smaller copy of the photo is read, so that no pixel is skipped.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from facenas.arrays import Float64Array, FloatArray
from facenas.data.crop_plan import CropPlan
from facenas.training.jpeg import through_jpeg
from facenas.training.photo_memory import PhotoMemory

_BLUR_RADIUS = 4  # of the strongest blur that is drawn, 1.2 pixels, as OpenCV chooses it


@torch.no_grad()
def make_pixels(memory: PhotoMemory, plan: CropPlan) -> Tensor:
    """uint8 [n, size, size, 3] RGB on the device of the photos."""
    device, size = memory.device, plan.size_px
    across, down, start, width = _positions(memory, plan)
    (left, right, x_share), (top, bottom, y_share) = (_neighbours(*axis) for axis in (across, down))
    rows = [start[:, None] + y * width[:, None] for y in (top, bottom)]

    def row(at: Tensor) -> Tensor:
        one, other = (memory.read(at[:, :, None] + x[:, None, :]) for x in (left, right))
        return one.lerp_(other, x_share[:, None, :, None])

    pixels = row(rows[0]).lerp_(row(rows[1]), y_share[:, :, None, None])
    colours = torch.from_numpy(plan.colours).to(device)
    pixels = torch.bmm(pixels.view(len(plan.photo), size * size, 4), colours).view(-1, size, size, 3)
    pixels.round_().clamp_(0, 255)
    blurred, lossy = np.flatnonzero(plan.blur), np.flatnonzero(plan.quality)
    if len(blurred):
        index = torch.from_numpy(blurred).to(device)
        pixels[index] = _blur(pixels[index], torch.from_numpy(_blur_weights(plan.blur[blurred])).to(device))
    if len(lossy):
        index = torch.from_numpy(lossy).to(device)
        pixels[index] = through_jpeg(pixels[index], torch.from_numpy(plan.quality[lossy]).to(device))
    pixels *= _inside(plan, device)[..., None]
    turned = np.flatnonzero(plan.angle)
    if len(turned):
        index = torch.from_numpy(turned).to(device)
        pixels[index] = _turned(pixels[index], torch.from_numpy(plan.angle[turned]).to(device))
    return pixels.to(torch.uint8)


def _on(device: torch.device, *arrays: npt.NDArray[np.generic]) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]


def _positions(
    memory: PhotoMemory, plan: CropPlan
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor, Tensor]:
    """Where each column of each crop lies in the copy of its photo that is read, float32 [n, size], and the last column there
    is, [n, 1]; the same of rows; where that copy starts in memory and how wide it is, int64 [n]."""
    shrink = ((plan.seen[:, 2:] - plan.seen[:, :2]) / plan.place[:, 2:]).max(axis=1)
    level = np.clip(np.floor(np.log2(np.maximum(shrink, 1))).astype(np.int64), 0, memory.levels - 1)
    start, copied = memory.starts[plan.photo, level], memory.sizes[plan.photo, level]
    cells = np.arange(plan.size_px)
    axes = []
    for axis in (0, 1):
        at = np.broadcast_to(cells, (len(plan.photo), plan.size_px))
        if axis == 0:
            at = np.where(plan.mirrored[:, None], plan.size_px - 1 - at, at)
        low, high = plan.seen[:, axis, None], plan.seen[:, 2 + axis, None]
        first, length = plan.place[:, axis, None], plan.place[:, 2 + axis, None]
        position = np.clip((at - first + 0.5) * (high - low) / length - 0.5 + low, low, high - 1)
        share = copied[:, axis, None] / memory.sizes[plan.photo, 0, axis, None]
        last = (copied[:, axis, None] - 1).astype(np.float32)
        axes.append((np.clip((position + 0.5) * share - 0.5, 0, last).astype(np.float32), last))
    x, x_last, y, y_last, starts, widths = _on(
        memory.device, *axes[0], *axes[1], start, np.ascontiguousarray(copied[:, 0])
    )
    return (x, x_last), (y, y_last), starts, widths


def _neighbours(position: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The cells before and after each position, int64, and the share of the latter."""
    before = position.floor()
    after = torch.minimum(before + 1, last)
    return before.long(), after.long(), position - before


def _inside(plan: CropPlan, device: torch.device) -> Tensor:
    """float32 [n, size, size]: 1 where the crop shows its photo."""
    cells = np.arange(plan.size_px)
    within = [
        (cells >= plan.place[:, axis, None]) & (cells < (plan.place[:, axis] + plan.place[:, 2 + axis])[:, None])
        for axis in (0, 1)
    ]
    columns = np.where(plan.mirrored[:, None], within[0][:, ::-1], within[0])
    x, y = _on(device, columns.astype(np.float32), within[1].astype(np.float32))
    return y[:, :, None] * x[:, None, :]


def _turned(images: Tensor, angle: Tensor) -> Tensor:
    """Each image [size, size, 3] of m turned about its middle, clockwise as seen, by its angle in radians; black beyond it."""
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    back = torch.stack([torch.stack([cosine, sine, zero], dim=1), torch.stack([-sine, cosine, zero], dim=1)], dim=1)
    planes = images.permute(0, 3, 1, 2)
    grid = functional.affine_grid(back.to(planes.dtype), list(planes.shape), align_corners=False)
    turned = functional.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return turned.permute(0, 2, 3, 1).round()


def _blur_weights(sigma: Float64Array) -> FloatArray:
    """float32 [m, 9]: Gaussian weights as wide as OpenCV's of these sigmas."""
    radius = (np.rint(6 * sigma + 1).astype(np.int64) | 1) // 2
    offset = np.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1)
    weights = np.exp(-0.5 * np.square(offset / sigma[:, None])) * (abs(offset) <= radius[:, None])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _blur(images: Tensor, weights: Tensor) -> Tensor:
    """Each image [size, size, 3] of m blurred by its own weights [m, 9], mirrored at the borders."""
    count, size = images.shape[:2]
    planes = images.permute(0, 3, 1, 2).reshape(1, 3 * count, size, size)
    kernel = weights.repeat_interleave(3, dim=0)[:, None]
    planes = functional.pad(planes, (_BLUR_RADIUS,) * 4, mode="reflect")
    planes = functional.conv2d(planes, kernel[:, :, :, None], groups=3 * count)
    planes = functional.conv2d(planes, kernel[:, :, None, :], groups=3 * count)
    return planes.view(count, 3, size, size).permute(0, 2, 3, 1).round()
