"""The detector as one list of fused layers: the single definition that all others are derived from.

The operator inventory (costs, latency), the ONNX file (export, profiling) and the torch module (training) all walk this
list, so that what is counted, what is timed, what is trained and what is deployed cannot drift apart. A layer is a
convolution with an optional batch norm, residual addition and ReLU,

    y = relu(norm(conv(x)) + residual),

or a nearest-neighbour upsampling by 2. Structure after DamoFD (Liu et al., ICLR 2023): five stages with their blocks; a
PAFPN without norms on the outputs of stages 3, 4 and 5 (strides 8, 16, 32); a head whose convolutions are shared by the
three levels while each level has batch norms of its own (one norm for all levels sees another mixture in evaluation than
in training).
Class, box and landmark outputs of a level are one convolution, because a runtime that computes channels in blocks of 16
takes as long for 2 or 8 channels as for 16.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from facenas.architecture import Architecture, Backbone, Family, NeckAndHead, Stage
from facenas.operators import Kind, Operator
from facenas.units import Size

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2
LANDMARK_COUNT = 5
"""Left eye, right eye, nose, left and right mouth corner; left and right as seen in the image."""
IMAGE = "image"
SCORE_CHANNELS = slice(0, ANCHORS_PER_CELL)
BOX_CHANNELS = slice(ANCHORS_PER_CELL, 5 * ANCHORS_PER_CELL)
LANDMARK_CHANNELS = slice(5 * ANCHORS_PER_CELL, (5 + 2 * LANDMARK_COUNT) * ANCHORS_PER_CELL)
NORM_EPSILON = 1e-3


def output_channels(*, landmarks: bool) -> int:
    """Channels of each level's output: 2 score logits, 2 x 4 box distances and, with landmarks, 2 x 5 x 2 offsets."""
    return LANDMARK_CHANNELS.stop if landmarks else BOX_CHANNELS.stop


@dataclass(frozen=True)
class Layer:
    """One fused layer. `name` is also the name of its output; `inputs` is (x,) or (x, residual).

    `weight` names the convolution's parameters (shared between levels in the head), `norm` the batch norm's or is empty;
    `bias` says whether the convolution has a bias of its own beside the norm; `scale` names a learnt factor on the box
    channels of the output.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    weight: str = ""
    norm: str = ""
    bias: bool = False
    scale: str = ""


@dataclass(frozen=True)
class Graph:
    """All layers in an order in which they can run, and the names of the outputs, level by level."""

    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    input_size: Size

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operator inventory, in execution order, with repetitions."""
        return tuple(layer.operator for layer in self.layers)


@dataclass(frozen=True)
class _Feature:
    """A named feature map while the graph is being built."""

    name: str
    channels: int
    height_px: int
    width_px: int


@dataclass(frozen=True)
class _Traits:
    """Of a convolution: what follows it, and under which names its tensors are kept ("": its own, or none)."""

    depthwise: bool = False
    norm: bool = True
    bias: bool = False
    relu: bool = True
    weight: str = ""
    scale: str = ""


_PROJECTION = _Traits(bias=True, relu=False)
_LINEAR = _Traits(norm=False, bias=True, relu=False)


@dataclass
class _Builder:
    layers: list[Layer] = field(default_factory=list)

    def conv(
        self,
        name: str,
        x: _Feature,
        out_channels: int,
        kernel_size: int,
        traits: _Traits = _Traits(),
        *,
        stride: int = 1,
        residual: _Feature | None = None,
    ) -> _Feature:
        operator = Operator(
            kind=Kind.DEPTHWISE if traits.depthwise else Kind.CONV,
            in_channels=x.channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            height_px=x.height_px,
            width_px=x.width_px,
            add=residual is not None,
            relu=traits.relu,
        )
        inputs = (x.name,) if residual is None else (x.name, residual.name)
        norm_name = f"{name}.norm" if traits.norm else ""
        weight = traits.weight or f"{name}.conv"
        self.layers.append(Layer(name, operator, inputs, weight, norm_name, traits.bias, traits.scale))
        return _Feature(name, out_channels, operator.out_height_px, operator.out_width_px)

    def upsample(self, name: str, x: _Feature) -> _Feature:
        operator = Operator(Kind.UPSAMPLE, x.channels, x.channels, 2, 1, x.height_px, x.width_px)
        self.layers.append(Layer(name, operator, (x.name,)))
        return _Feature(name, x.channels, operator.out_height_px, operator.out_width_px)

    def shortcut(self, name: str, x: _Feature, out_channels: int, stride: int, *, first: bool) -> _Feature:
        """The identity, or a 1x1 projection in a stage's first residual and wherever channels or stride change."""
        if not first and x.channels == out_channels and stride == 1:
            return x
        return self.conv(name, x, out_channels, 1, _PROJECTION, stride=stride)


def _residual(build: _Builder, name: str, x: _Feature, stage: Stage, stride: int, *, first: bool) -> _Feature:
    shortcut = build.shortcut(f"{name}.shortcut", x, stage.out_channels, stride, first=first)
    y = build.conv(f"{name}.conv1", x, stage.bottleneck_channels, stage.kernel_size, stride=stride)
    return build.conv(f"{name}.conv2", y, stage.out_channels, stage.second_kernel_size, residual=shortcut)


def _bottleneck(build: _Builder, name: str, x: _Feature, stage: Stage, stride: int, *, first: bool) -> _Feature:
    shortcut = build.shortcut(f"{name}.shortcut", x, stage.out_channels, stride, first=first)
    y = build.conv(f"{name}.reduce", x, stage.bottleneck_channels, 1)
    y = build.conv(f"{name}.conv", y, stage.bottleneck_channels, stage.kernel_size, stride=stride)
    return build.conv(f"{name}.expand", y, stage.out_channels, 1, residual=shortcut)


def _inverted(
    build: _Builder, name: str, x: _Feature, widths: tuple[int, int], kernel_size: int, stride: int, *, first: bool
) -> _Feature:
    expanded_channels, out_channels = widths
    shortcut = build.shortcut(f"{name}.shortcut", x, out_channels, stride, first=first)
    y = build.conv(f"{name}.expand", x, expanded_channels, 1)
    y = build.conv(f"{name}.depthwise", y, expanded_channels, kernel_size, _Traits(depthwise=True), stride=stride)
    return build.conv(f"{name}.project", y, out_channels, 1, residual=shortcut)


def _stage(build: _Builder, name: str, x: _Feature, stage: Stage) -> _Feature:
    for index in range(stage.sublayers):
        prefix, stride, first = f"{name}.{index}", stage.stride if index == 0 else 1, index == 0
        match stage.family:
            case Family.CONV:
                x = build.conv(prefix, x, stage.out_channels, stage.kernel_size, stride=stride)
            case Family.RESIDUAL:
                x = _residual(build, prefix, x, stage, stride, first=first)
            case Family.BOTTLENECK:
                x = _bottleneck(build, f"{prefix}.a", x, stage, stride, first=first)
                x = _bottleneck(build, f"{prefix}.b", x, stage, 1, first=False)
            case Family.INVERTED:
                narrow = (stage.expanded_bottleneck_channels, stage.bottleneck_channels)
                wide = (stage.expanded_out_channels, stage.out_channels)
                x = _inverted(build, f"{prefix}.a", x, narrow, stage.kernel_size, stride, first=first)
                x = _inverted(build, f"{prefix}.b", x, wide, stage.kernel_size, 1, first=False)
    return x


def _backbone(build: _Builder, x: _Feature, backbone: Backbone) -> list[_Feature]:
    """The outputs of stages 3, 4 and 5."""
    outputs = []
    for number, stage in enumerate(backbone.stages, 1):
        x = _stage(build, f"backbone.stage{number}", x, stage)
        outputs.append(x)
    return outputs[-len(STRIDES) :]


def _neck(build: _Builder, features: list[_Feature], channels: int) -> list[_Feature]:
    """PAFPN: top-down with nearest upsampling, then bottom-up with strided convolutions; biases, no norm, no ReLU."""

    def conv(name: str, x: _Feature, kernel_size: int, stride: int = 1, residual: _Feature | None = None) -> _Feature:
        return build.conv(f"neck.{name}", x, channels, kernel_size, _LINEAR, stride=stride, residual=residual)

    p3, p4, p5 = features
    top = conv("lateral.32", p5, 1)
    middle = conv("lateral.16", p4, 1, residual=build.upsample("neck.upsample.32", top))
    fine = conv("lateral.8", p3, 1, residual=build.upsample("neck.upsample.16", middle))
    fine, middle, top = conv("smooth.8", fine, 3), conv("smooth.16", middle, 3), conv("smooth.32", top, 3)
    middle = conv("down.16", fine, 3, 2, residual=middle)
    top = conv("down.32", middle, 3, 2, residual=top)
    return [fine, conv("out.16", middle, 3), conv("out.32", top, 3)]


def _head(build: _Builder, level: _Feature, stride: int, design: NeckAndHead, *, landmarks: bool) -> str:
    """The head at one level: stacked convs common to all outputs, then one convolution that gives them all."""
    x = level
    for index in range(design.head_convs):
        if design.depthwise:
            name = f"head.{index}.depthwise"
            x = build.conv(f"{name}.{stride}", x, x.channels, 3, _Traits(depthwise=True, weight=f"{name}.conv"))
            name = f"head.{index}.pointwise"
            x = build.conv(f"{name}.{stride}", x, design.head_channels, 1, _Traits(weight=f"{name}.conv"))
        else:
            name = f"head.{index}"
            x = build.conv(f"{name}.{stride}", x, design.head_channels, 3, _Traits(weight=f"{name}.conv"))
    name = f"output_{stride}"
    channels = output_channels(landmarks=landmarks)
    build.conv(name, x, channels, 3, replace(_LINEAR, weight="head.output.conv", scale=f"head.scale.{stride}"))
    return name


def build_graph(detector: Architecture, input_size: Size) -> Graph:
    """The whole detector at one input size, with the outputs `output_8`, `output_16` and `output_32`."""
    build = _Builder()
    image = _Feature(IMAGE, 3, input_size.height_px, input_size.width_px)
    levels = _neck(build, _backbone(build, image, detector.backbone), detector.neck_and_head.neck_channels)
    outputs = tuple(
        _head(build, level, stride, detector.neck_and_head, landmarks=detector.landmarks)
        for level, stride in zip(levels, STRIDES, strict=True)
    )
    return Graph(tuple(build.layers), outputs, input_size)


def stage_layers(stage: Stage, position: int, input_size: Size) -> tuple[Layer, ...]:
    """The layers of one stage alone, at `position` 0 to 4 of a backbone; it reads the feature map named `image`."""
    build = _Builder()
    entering = _Feature(IMAGE, stage.in_channels, input_size.height_px >> position, input_size.width_px >> position)
    _stage(build, f"backbone.stage{position + 1}", entering, stage)
    return tuple(build.layers)


def neck_and_head_layers(widths: tuple[int, int, int], design: NeckAndHead, input_size: Size) -> tuple[Layer, ...]:
    """The layers of neck and head alone, without landmarks, on features of these widths, named `features.8`, `features.16`
    and `features.32`."""
    build = _Builder()
    features = [
        _Feature(f"features.{stride}", width, input_size.height_px // stride, input_size.width_px // stride)
        for stride, width in zip(STRIDES, widths, strict=True)
    ]
    for level, stride in zip(_neck(build, features, design.neck_channels), STRIDES, strict=True):
        _head(build, level, stride, design, landmarks=False)
    return tuple(build.layers)


def inventory(detector: Architecture, input_size: Size) -> tuple[Operator, ...]:
    """The fused operators of the whole detector at one input size, in execution order, with repetitions."""
    return build_graph(detector, input_size).operators


def backbone_layers(layers: Iterable[Layer]) -> list[Layer]:
    """Those layers that belong to the backbone."""
    return [layer for layer in layers if layer.name.startswith("backbone.")]
