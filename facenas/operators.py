"""Operator: the key of a latency table, one fused operator as a runtime executes it.

Inference runtimes fold batch norm into its convolution and fuse the addition of a residual and the ReLU that follow it.
So the unit that has a cost of its own is `conv (+ add) (+ relu)`, at a feature size; the only other unit of these
detectors is the nearest-neighbour upsampling of the neck.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from facenas.errors import InputError


class Kind(StrEnum):
    """What an operator computes."""

    CONV = "conv"
    DEPTHWISE = "depthwise"
    UPSAMPLE = "upsample"


@dataclass(frozen=True, order=True)
class Operator:
    """One fused operator; `height_px` and `width_px` are those of the feature map that it reads."""

    kind: Kind
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    height_px: int
    width_px: int
    add: bool = False
    relu: bool = False

    @classmethod
    def from_text(cls, text: str) -> "Operator":
        """The operator that `str` printed as `text`, for example `conv+relu 3->32 k3s2 640x480`. Raises InputError."""
        match = _OPERATOR.fullmatch(text)
        if match is None:
            raise InputError(f"'{text}' is no operator; one reads for example conv+relu 3->32 k3s2 640x480")
        kind, add, relu, *numbers = match.groups()
        in_channels, out_channels, kernel_size, stride, width_px, height_px = map(int, numbers)
        return cls(
            Kind(kind), in_channels, out_channels, kernel_size, stride, height_px, width_px, bool(add), bool(relu)
        )

    @property
    def out_height_px(self) -> int:
        """Height of the feature map that the operator writes."""
        return self.height_px * 2 if self.kind is Kind.UPSAMPLE else -(-self.height_px // self.stride)

    @property
    def out_width_px(self) -> int:
        """Width of the feature map that the operator writes."""
        return self.width_px * 2 if self.kind is Kind.UPSAMPLE else -(-self.width_px // self.stride)

    @property
    def weights_per_output(self) -> int:
        """Multiply-accumulates for one output value, without a bias (0 for upsampling)."""
        match self.kind:
            case Kind.CONV:
                return self.in_channels * self.kernel_size**2
            case Kind.DEPTHWISE:
                return self.kernel_size**2
            case Kind.UPSAMPLE:
                return 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates (the paper's FLOPs) of the convolution; bias, add and ReLU are not counted."""
        return self.weights_per_output * self.out_values

    @property
    def out_values(self) -> int:
        """Number of values that the operator writes."""
        return self.out_channels * self.out_height_px * self.out_width_px

    @property
    def in_values(self) -> int:
        """Number of values that the operator reads, a residual's included."""
        read = self.in_channels * self.height_px * self.width_px
        return read + self.out_values if self.add else read

    def __str__(self) -> str:
        channels = f"{self.in_channels}->{self.out_channels}"
        fused = ("+add" if self.add else "") + ("+relu" if self.relu else "")
        shape = f"k{self.kernel_size}s{self.stride}"
        return f"{self.kind}{fused} {channels} {shape} {self.width_px}x{self.height_px}"


_OPERATOR = re.compile(r"(conv|depthwise|upsample)(\+add)?(\+relu)? (\d+)->(\d+) k(\d+)s(\d+) (\d+)x(\d+)", re.ASCII)
