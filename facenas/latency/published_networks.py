"""Networks of which others published latencies, as lists of fused operators: what a modelled table is fitted to.

They are written down after their public descriptions, with the operators that a runtime executes: convolution with norm
and activation is one, concatenation is none (its parts are written in place). A pooling counts as a depthwise
convolution of its kernel, a product of matrices in attention as a 1x1 convolution of as many multiply-accumulates.
The tests compare each network's multiply-accumulates with the published number.
"""

from dataclasses import dataclass, field

from facenas.operators import Kind, Operator

_CLASSES = 80
_BOX_CHANNELS = 64


@dataclass
class _Network:
    """Operators collected so far, and the size of the feature map that comes next."""

    height_px: int
    width_px: int
    operators: list[Operator] = field(default_factory=list)

    def conv(
        self, i: int, o: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False, add: bool = False
    ) -> int:
        kind = Kind.DEPTHWISE if depthwise else Kind.CONV
        operator = Operator(kind, i, o, kernel, stride, self.height_px, self.width_px, add, True)
        self.operators.append(operator)
        self.height_px, self.width_px = operator.out_height_px, operator.out_width_px
        return o

    def pool(self, channels: int, kernel: int, stride: int = 1) -> None:
        self.conv(channels, channels, kernel, stride, depthwise=True)

    def upsample(self, channels: int) -> None:
        operator = Operator(Kind.UPSAMPLE, channels, channels, 2, 1, self.height_px, self.width_px)
        self.operators.append(operator)
        self.height_px, self.width_px = operator.out_height_px, operator.out_width_px


def _bottleneck(
    net: _Network, i: int, hidden: int, o: int, kernels: tuple[int, int] = (3, 3), *, add: bool = True
) -> None:
    net.conv(i, hidden, kernels[0])
    net.conv(hidden, o, kernels[1], add=add)


def _c2f(net: _Network, i: int, o: int, count: int, *, add: bool) -> int:
    """YOLOv8's block: split, `count` bottlenecks in a row, all their outputs joined."""
    half = o // 2
    net.conv(i, 2 * half)
    for _ in range(count):
        _bottleneck(net, half, half, half, add=add)
    return net.conv((2 + count) * half, o)


def _c3(net: _Network, i: int, o: int, count: int, kernels: tuple[int, int] = (3, 3), *, add: bool = True) -> int:
    half = o // 2
    net.conv(i, half)
    net.conv(i, half)
    for _ in range(count):
        _bottleneck(net, half, half, half, kernels, add=add)
    return net.conv(2 * half, o)


def _c3k2(net: _Network, i: int, o: int, count: int, *, nested: bool, share: float = 0.5) -> int:
    """YOLO11's block: as C2f, with either bottlenecks of half the width or nested C3 blocks inside."""
    part = int(o * share)
    net.conv(i, 2 * part)
    for _ in range(count):
        if nested:
            _c3(net, part, part, 2)
        else:
            _bottleneck(net, part, part // 2, part)
    return net.conv((2 + count) * part, o)


def _sppf(net: _Network, channels: int) -> int:
    net.conv(channels, channels // 2)
    for _ in range(3):
        net.pool(channels // 2, 5)
    return net.conv(channels * 2, channels)


def _c2psa(net: _Network, channels: int, count: int) -> int:
    part = channels // 2
    net.conv(channels, 2 * part)
    tokens = net.height_px * net.width_px
    for _ in range(count):
        net.conv(part, 2 * part)
        net.conv(part // 2, tokens)  # queries by keys, over all heads
        net.conv(tokens, part)  # attention by values
        net.conv(part, part, 3, depthwise=True)
        net.conv(part, part, add=True)
        net.conv(part, 2 * part)
        net.conv(2 * part, part, add=True)
    return net.conv(2 * part, channels)


def _widths(width: float, most: int) -> list[int]:
    """The widths 64, 128, 256, 512 and 1024 at a scale, rounded up to multiples of 8."""
    return [-(-int(min(base, most) * width) // 8) * 8 for base in (64, 128, 256, 512, 1024)]


def _detect(net: _Network, widths: tuple[int, int, int], *, separable: bool) -> None:
    """The decoupled head of YOLOv8 and, with separable class convolutions, of YOLO11; the network is at stride 32."""
    box = max(16, widths[0] // 4, _BOX_CHANNELS)
    classes = max(widths[0], min(_CLASSES, 100))
    height_px, width_px = net.height_px, net.width_px
    for factor, channels in zip((4, 2, 1), widths, strict=True):
        net.height_px, net.width_px = height_px * factor, width_px * factor
        net.conv(channels, box, 3)
        net.conv(box, box, 3)
        net.conv(box, _BOX_CHANNELS)
        if separable:
            net.conv(channels, channels, 3, depthwise=True)
            net.conv(channels, classes)
            net.conv(classes, classes, 3, depthwise=True)
            net.conv(classes, classes)
        else:
            net.conv(channels, classes, 3)
            net.conv(classes, classes, 3)
        net.conv(classes, _CLASSES)


def _yolov8(depth: float, width: float, most: int) -> list[Operator]:
    net = _Network(640, 640)
    w = _widths(width, most)

    def repeats(count: int) -> int:
        return max(1, round(count * depth))

    net.conv(3, w[0], 3, 2)
    for index, count in ((1, 3), (2, 6), (3, 6), (4, 3)):
        net.conv(w[index - 1], w[index], 3, 2)
        _c2f(net, w[index], w[index], repeats(count), add=True)
    _sppf(net, w[4])
    net.upsample(w[4])
    _c2f(net, w[4] + w[3], w[3], repeats(3), add=False)
    net.upsample(w[3])
    _c2f(net, w[3] + w[2], w[2], repeats(3), add=False)
    net.conv(w[2], w[2], 3, 2)
    _c2f(net, w[2] + w[3], w[3], repeats(3), add=False)
    net.conv(w[3], w[3], 3, 2)
    _c2f(net, w[3] + w[4], w[4], repeats(3), add=False)
    _detect(net, (w[2], w[3], w[4]), separable=False)
    return net.operators


def _yolo11(depth: float, width: float, most: int, *, nested: bool) -> list[Operator]:
    """`nested`: the three large ones have nested blocks everywhere."""
    net = _Network(640, 640)
    w = _widths(width, most)
    count = max(1, round(2 * depth))
    net.conv(3, w[0], 3, 2)
    net.conv(w[0], w[1], 3, 2)
    _c3k2(net, w[1], w[2], count, nested=nested, share=0.25)
    net.conv(w[2], w[2], 3, 2)
    _c3k2(net, w[2], w[3], count, nested=nested, share=0.25)
    net.conv(w[3], w[3], 3, 2)
    _c3k2(net, w[3], w[3], count, nested=True)
    net.conv(w[3], w[4], 3, 2)
    _c3k2(net, w[4], w[4], count, nested=True)
    _sppf(net, w[4])
    _c2psa(net, w[4], count)
    net.upsample(w[4])
    _c3k2(net, w[4] + w[3], w[3], count, nested=nested)
    net.upsample(w[3])
    _c3k2(net, w[3] + w[3], w[2], count, nested=nested)
    net.conv(w[2], w[2], 3, 2)
    _c3k2(net, w[2] + w[3], w[3], count, nested=nested)
    net.conv(w[3], w[3], 3, 2)
    _c3k2(net, w[3] + w[4], w[4], count, nested=True)
    _detect(net, (w[2], w[3], w[4]), separable=True)
    return net.operators


def _yolox_s() -> list[Operator]:
    net = _Network(320, 320)
    net.conv(12, 32, 3)  # after its focus, which moves 2x2 pixels into channels
    for i, o, count in ((32, 64, 1), (64, 128, 3), (128, 256, 3)):
        net.conv(i, o, 3, 2)
        _c3(net, o, o, count, (1, 3))
    net.conv(256, 512, 3, 2)
    net.conv(512, 256)
    for kernel in (5, 9, 13):
        net.pool(256, kernel)
    net.conv(1024, 512)
    _c3(net, 512, 512, 1, (1, 3), add=False)
    net.conv(512, 256)
    net.upsample(256)
    _c3(net, 512, 256, 1, (1, 3), add=False)
    net.conv(256, 128)
    net.upsample(128)
    _c3(net, 256, 128, 1, (1, 3), add=False)
    net.conv(128, 128, 3, 2)
    _c3(net, 256, 256, 1, (1, 3), add=False)
    net.conv(256, 256, 3, 2)
    _c3(net, 512, 512, 1, (1, 3), add=False)
    for factor, channels in ((4, 128), (2, 256), (1, 512)):
        net.height_px, net.width_px = 20 * factor, 20 * factor
        net.conv(channels, 128)
        for _ in range(4):
            net.conv(128, 128, 3)
        net.conv(128, _CLASSES)
        net.conv(128, 4)
        net.conv(128, 1)
    return net.operators


def _nanosam_resnet18() -> list[Operator]:
    """NanoSAM's image encoder: ResNet-18 at 1024x1024, three convolutions, a transposed one, two convolutions."""
    net = _Network(1024, 1024)
    net.conv(3, 64, 7, 2)
    net.pool(64, 3, 2)
    channels = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        if stride == 2:
            size = (net.height_px, net.width_px)
            net.conv(channels, width, 1, 2)
            net.height_px, net.width_px = size
        net.conv(channels, width, 3, stride)
        net.conv(width, width, 3, add=True)
        _bottleneck(net, width, width, width)
        channels = width
    net.conv(512, 256, 3)
    for _ in range(3):  # the last is transposed: as many multiply-accumulates, then twice the size
        net.conv(256, 256, 3)
    net.upsample(256)
    net.conv(256, 256, 3)
    net.conv(256, 256)
    return net.operators


def network_operators(name: str) -> tuple[Operator, ...]:
    """The fused operators of a published network at its usual input. Raises KeyError for one that is not described."""
    match name:
        case "yolov8n":
            operators = _yolov8(0.33, 0.25, 1024)
        case "yolov8s":
            operators = _yolov8(0.33, 0.5, 1024)
        case "yolov8m":
            operators = _yolov8(0.67, 0.75, 768)
        case "yolo11n":
            operators = _yolo11(0.5, 0.25, 1024, nested=False)
        case "yolo11s":
            operators = _yolo11(0.5, 0.5, 1024, nested=False)
        case "yolo11m":
            operators = _yolo11(0.5, 1.0, 512, nested=True)
        case "yolo11l":
            operators = _yolo11(1.0, 1.0, 512, nested=True)
        case "yolo11x":
            operators = _yolo11(1.0, 1.5, 512, nested=True)
        case "yolox-s":
            operators = _yolox_s()
        case "nanosam-resnet18":
            operators = _nanosam_resnet18()
        case _:
            raise KeyError(name)
    return tuple(operators)
