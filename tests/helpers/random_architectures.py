"""Hypothesis strategies for stages, backbones and detectors: everything that a block string can say, within reason."""

from hypothesis import strategies as st

from facenas.architecture import IMAGE_CHANNELS, STAGE_COUNT, Architecture, Backbone, Family, NeckAndHead, Stage

FAMILIES = tuple(Family)
KERNEL_SIZES = (1, 3, 5, 7, 9, 11)


@st.composite
def stages(
    draw: st.DrawFn,
    in_channels: int | None = None,
    *,
    stride: int | None = None,
    most_channels: int = 4096,
    most_sublayers: int = 64,
    least_channels: int = 1,
) -> Stage:
    """Any valid stage; `in_channels` and `stride` fixed where given."""
    widths = st.integers(least_channels, most_channels)
    family = draw(st.sampled_from(FAMILIES))
    return Stage(
        family,
        draw(widths) if in_channels is None else in_channels,
        draw(widths),
        draw(st.sampled_from((1, 2))) if stride is None else stride,
        draw(st.integers(1, most_sublayers)),
        draw(st.sampled_from(KERNEL_SIZES)),
        draw(st.sampled_from(KERNEL_SIZES)) if family is Family.RESIDUAL else 0,
        0 if family is Family.CONV else draw(widths),
        draw(st.integers(1, 16)) if family is Family.INVERTED else 0,
    )


@st.composite
def backbones(
    draw: st.DrawFn, *, most_channels: int = 4096, most_sublayers: int = 64, least_channels: int = 1
) -> Backbone:
    """Five stages whose widths agree."""
    chain: list[Stage] = []
    for _ in range(STAGE_COUNT):
        entering = chain[-1].out_channels if chain else IMAGE_CHANNELS
        stage = stages(
            entering,
            stride=2,
            most_channels=most_channels,
            most_sublayers=most_sublayers,
            least_channels=least_channels,
        )
        chain.append(draw(stage))
    return Backbone(tuple(chain))


def necks_and_heads(most_channels: int = 4096, most_convs: int = 8) -> st.SearchStrategy[NeckAndHead]:
    """Any valid neck and head."""
    widths = st.integers(1, most_channels)
    return st.builds(NeckAndHead, widths, widths, st.integers(1, most_convs), st.booleans())


def detectors(
    *, most_channels: int = 4096, most_sublayers: int = 64, least_channels: int = 1, most_convs: int = 8
) -> st.SearchStrategy[Architecture]:
    """Any valid detector, with and without landmarks."""
    backbone = backbones(most_channels=most_channels, most_sublayers=most_sublayers, least_channels=least_channels)
    return st.builds(Architecture, backbone, necks_and_heads(most_channels, most_convs), st.booleans())


def small_detectors() -> st.SearchStrategy[Architecture]:
    """Detectors that build and run in milliseconds."""
    return detectors(most_channels=12, most_sublayers=2, most_convs=3)
