"""Recordings after TensorRT's documented naming and published logs (trtexec --dumpProfile); no board was at hand."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facenas.runtimes.tensorrt_layers import layers_of, times_by_layer

LAYERS = {  # each with its work
    "backbone.stage1.0": 9,
    "backbone.stage2.0.a.shortcut": 1,
    "backbone.stage2.0.a.reduce": 3,
    "backbone.stage2.0.a.conv": 9,
    "backbone.stage2.0.a.expand": 9,
    "neck.upsample.32": 1,
    "neck.lateral.16": 1,
    "output_8": 0,
    "output_16": 0,
}


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("backbone.stage1.0/conv + backbone.stage1.0/relu", ["backbone.stage1.0"]),
        ("backbone.stage2.0.a.shortcut/conv", ["backbone.stage2.0.a.shortcut"]),
        (
            "backbone.stage2.0.a.expand/conv + backbone.stage2.0.a.expand/add + backbone.stage2.0.a.expand/relu",
            ["backbone.stage2.0.a.expand"],
        ),
        # The later convolution takes the addition in, whosever it is.
        (
            "backbone.stage2.0.a.shortcut/conv + backbone.stage2.0.a.expand/add + backbone.stage2.0.a.expand/relu",
            ["backbone.stage2.0.a.shortcut", "backbone.stage2.0.a.expand"],
        ),
        (
            "backbone.stage2.0.a.shortcut/conv || backbone.stage2.0.a.reduce/conv",
            ["backbone.stage2.0.a.shortcut", "backbone.stage2.0.a.reduce"],
        ),
        (
            "PWN(PWN(neck.lateral.16/add), backbone.stage2.0.a.conv/relu)",
            ["neck.lateral.16", "backbone.stage2.0.a.conv"],
        ),
        ("Reformatting CopyNode for Input Tensor 0 to neck.upsample.32", ["neck.upsample.32"]),
        (
            "Reformatting CopyNode for Input Tensor 0 to backbone.stage1.0/conv + backbone.stage1.0/relu",
            ["backbone.stage1.0"],
        ),
        ("Reformatting CopyNode for Output Tensor 0 to output_8/conv", ["output_8"]),
        ("Reformatting CopyNode for Network Input image", ["backbone.stage1.0"]),
        ("Reformatting CopyNode for Network Output output_16", ["output_16"]),
        ("image_QuantizeLinear", ["backbone.stage1.0"]),
        (
            "backbone.stage1.0.weight + backbone.stage1.0.weight_QuantizeLinear + backbone.stage1.0/conv",
            ["backbone.stage1.0"],
        ),
        ("backbone.stage2.0.a.conv/conv_myl0_12", ["backbone.stage2.0.a.conv"]),
        ("{ForeignNode[backbone.stage1.0/conv...output_16/conv]}", []),
        ("Reformatting CopyNode for Input Tensor 0 to {ForeignNode[neck.lateral.16/conv...output_16]}", None),
        ("__mye165_0_myl9_0", []),
        ("(Unnamed Layer* 4) [Shuffle]", []),
        ("", []),
    ],
)
def test_layers_are_read_off_the_names_of_kernels(name: str, layers: list[str] | None) -> None:
    found = layers_of(name, LAYERS)
    assert set(found) <= set(LAYERS)
    if layers is not None:
        assert list(found) == layers


def test_a_layer_whose_name_begins_another_is_not_taken_for_it() -> None:
    assert layers_of("output_16/conv", {"output_1": 1, "output_16": 1}) == ("output_16",)
    assert layers_of("output_160/conv", {"output_16": 1}) == ()


RECORDING = {
    "Reformatting CopyNode for Input Tensor 0 to backbone.stage1.0/conv + backbone.stage1.0/relu": 29_696,
    "backbone.stage1.0/conv + backbone.stage1.0/relu": 71_680,
    "backbone.stage2.0.a.shortcut/conv || backbone.stage2.0.a.reduce/conv": 40_961,
    "backbone.stage2.0.a.conv/conv + backbone.stage2.0.a.conv/relu": 69_632,
    "backbone.stage2.0.a.expand/conv + backbone.stage2.0.a.expand/add + backbone.stage2.0.a.expand/relu": 57_344,
    "neck.upsample.32": 9_216,
    "output_8/conv": 13_312,
    "Reformatting CopyNode for Output Tensor 0 to output_8/conv": 4_096,
    "__mye41_0_myl3_0": 2_048,
}


def test_a_recorded_run_is_attributed_to_layers() -> None:
    times, overhead_ns = times_by_layer(RECORDING, LAYERS)
    assert times == {
        "backbone.stage1.0": 29_696 + 71_680,
        "backbone.stage2.0.a.shortcut": 10_240,  # a quarter of the work of both
        "backbone.stage2.0.a.reduce": 30_721,
        "backbone.stage2.0.a.conv": 69_632,
        "backbone.stage2.0.a.expand": 57_344,
        "neck.upsample.32": 9_216,
        "output_8": 13_312 + 4_096,
    }
    assert overhead_ns == 2_048


MADE_BY_THE_COMPILER = {
    "__myl_CorrMulAddRelu_myl0_1": "[ONNX Layer: backbone.stage2.0.a.reduce/conv]\x1f[ONNX Layer: output_8/conv]",
    "{ForeignNode[neck.upsample.32/resize...output_8/conv]}": "[ONNX Layer: neck.upsample.32/resize]\x1e[ONNX Layer: x]",
    "Reformatting CopyNode for Input Tensor 0 to output_16": "[ONNX Layer: backbone.stage1.0/conv]",
}


def test_what_the_compiler_made_is_charged_to_the_layers_that_the_inspector_tells() -> None:
    times, overhead_ns = times_by_layer(dict.fromkeys(MADE_BY_THE_COMPILER, 700), LAYERS, MADE_BY_THE_COMPILER)
    assert times == {"backbone.stage2.0.a.reduce": 700, "output_8": 0, "neck.upsample.32": 700, "output_16": 700}
    assert overhead_ns == 0


def test_a_name_of_100000_characters_is_read_in_no_time() -> None:
    start = time.process_time()
    assert layers_of("a" * 100_000, LAYERS) == ()
    assert layers_of("a_" * 50_000, LAYERS) == ()
    assert time.process_time() - start < 1  # it was 4.5 s, and grew by the square


PART = st.sampled_from([*(f"{layer}/conv" for layer in LAYERS), "__mye1", "PWN(", ")", "Reformatting CopyNode"])


@given(st.dictionaries(st.lists(PART, max_size=5).map(" + ".join), st.integers(0, 10**9)))
def test_no_time_is_lost_and_none_counted_twice(kernels_ns: dict[str, int]) -> None:
    times, overhead_ns = times_by_layer(kernels_ns, LAYERS)
    assert sum(times.values()) + overhead_ns == sum(kernels_ns.values())
