"""Block strings: they parse, print back identically, and a broken one is refused with the part that breaks it."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.random_architectures import backbones, detectors, necks_and_heads, stages
from hypothesis import given
from hypothesis import strategies as st

from facenas.architecture import (
    DEFAULT_NECK_AND_HEAD,
    PUBLISHED_NAMES,
    Architecture,
    Backbone,
    Family,
    NeckAndHead,
    Stage,
    parse_architecture,
    parse_stage,
    published_detector,
    resolve_architecture,
    round_to_multiple_of_8,
)
from facenas.errors import InputError

FIRST = "SuperConvK3BNRELU(3,32,2,1)"
REST = (
    "SuperResIDWE1K3(32,32,2,8,1)",
    "SuperResK3K3(32,64,2,40,1)",
    "SuperResK1K7K1(64,120,2,40,2)",
    "SuperResIDWE6K5(120,160,2,120,1)",
)
WHOLE = FIRST + "".join(REST)


@given(stages())
def test_stages_print_and_parse_back(stage: Stage) -> None:
    assert parse_stage(str(stage)) == stage


@given(detectors())
def test_detectors_print_and_parse_back(detector: Architecture) -> None:
    text = str(detector)
    assert parse_architecture(text) == replace(detector, landmarks=False)
    assert str(parse_architecture(text)) == text


@given(backbones(), necks_and_heads(), st.integers(0, 40))
def test_white_space_does_not_matter(backbone: Backbone, suffix: NeckAndHead, position: int) -> None:
    text = f"{backbone}{suffix}"
    assert parse_architecture(f" {text[:position]} \n\t{text[position:]}\n") == parse_architecture(text)


def test_the_families_of_a_string() -> None:
    detector = parse_architecture(WHOLE)
    assert [stage.family for stage in detector.backbone.stages] == [
        Family.CONV,
        Family.INVERTED,
        Family.RESIDUAL,
        Family.BOTTLENECK,
        Family.INVERTED,
    ]
    assert detector.backbone.stages[0] == Stage(Family.CONV, 3, 32, 2, 1, 3)
    assert detector.backbone.stages[3] == Stage(Family.BOTTLENECK, 64, 120, 2, 2, 7, bottleneck_channels=40)
    assert detector.backbone.stages[4].expanded_bottleneck_channels == 720
    assert detector.backbone.layers == 6


def test_a_bare_backbone_stands_for_one_neck_and_head() -> None:
    assert parse_architecture(WHOLE).neck_and_head == DEFAULT_NECK_AND_HEAD
    assert str(parse_architecture(f"{WHOLE}PAFPN(16)HeadDW(64,2)")) == WHOLE
    assert str(parse_architecture(f"{WHOLE}PAFPN(16)Head(64,2)")) == f"{WHOLE}PAFPN(16)Head(64,2)"
    published = published_detector("damofd-10g")
    assert published.neck_and_head == NeckAndHead(56, 80, 3, depthwise=False)
    assert parse_architecture(str(published)) == published
    with_default_neck = replace(published, neck_and_head=DEFAULT_NECK_AND_HEAD)
    assert str(with_default_neck).endswith("PAFPN(16)HeadDW(64,2)")
    assert parse_architecture(str(with_default_neck)) == with_default_neck


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "''"),
        ("damofd", "'damofd'"),
        ("SuperConvK3BNRELU(3,32,2)", "has 3 numbers, needs 4: (in,out,stride,L)"),
        ("SuperConvK3BNRELU(3,32,2,1,1)", "has 5 numbers, needs 4"),
        ("SuperResK3K3(3,32,2,1)", "has 4 numbers, needs 5: (in,out,stride,b,L)"),
        ("superConvK3BNRELU(3,32,2,1)", "'superConvK3BNRELU(3,32,2,1)'"),
        ("SuperConvK3(3,32,2,1)", "'SuperConvK3(3,32,2,1)'"),
        ("SuperConvK3BNRELU(3,32,2,1", "'SuperConvK3BNRELU(3,32,2,1'"),
        ("SuperConvK3BNRELU(3,-32,2,1)", "'SuperConvK3BNRELU(3,-32,2,1)'"),
        ("SuperConvK3BNRELU(3,3.5,2,1)", "'SuperConvK3BNRELU(3,3.5,2,1)'"),
        ("SuperConvK3BNRELU(3,٣٢,2,1)", "'SuperConvK3BNRELU(3,٣٢,2,1)'"),
        (FIRST, "has 1 stages; a detector needs 5"),
        (WHOLE + REST[3], "has 6 stages; a detector needs 5"),
        (f"{WHOLE}Neck", f"at character {len(WHOLE) + 1}: 'Neck'"),
        (f"{FIRST}SuperResK3(32,32,2,8,1)", f"at character {len(FIRST) + 1}: 'SuperResK3(32,32,2,8,1)'"),
        (f"{WHOLE}PAFPN(16)", "'PAFPN(16)'"),
        (f"{WHOLE}PAFPN(16)HeadDW(64)", "'PAFPN(16)HeadDW(64)'"),
        (f"{WHOLE}PAFPN(0)HeadDW(64,2)", "'PAFPN(0)HeadDW(64,2)': neck_channels 0"),
        (f"{WHOLE}PAFPN(16)HeadDW(5000,2)", "head_channels 5000"),
        (f"{WHOLE}PAFPN(16)HeadDW(64,9)", "9 stacked head convs"),
        (WHOLE.replace("(32,32,2,8,1)", "(32,32,1,8,1)"), "'SuperResIDWE1K3(32,32,1,8,1)' has stride 1"),
        (WHOLE.replace("(32,32,2,8,1)", "(32,32,3,8,1)"), "SuperResIDWE1K3(32,32,3,8,1): stride 3"),
        (
            WHOLE.replace("(64,120,", "(60,120,"),
            "stage 4 'SuperResK1K7K1(60,120,2,40,2)' takes 60 channels but gets 64",
        ),
        (
            WHOLE.replace("(3,32,2,1)", "(1,32,2,1)"),
            "stage 1 'SuperConvK3BNRELU(1,32,2,1)' takes 1 channels but gets 3",
        ),
        (WHOLE.replace("(3,32,2,1)", "(3,0,2,1)"), "out_channels 0"),
        (WHOLE.replace("(3,32,2,1)", "(3,99999,2,1)"), "out_channels 99999"),
        (WHOLE.replace("(3,32,2,1)", "(3,32,2,0)"), "0 sub-layers"),
        (WHOLE.replace("(3,32,2,1)", "(3,32,2,65)"), "65 sub-layers"),
        (WHOLE.replace(",2,8,1)", ",2,0,1)"), "bottleneck width 0"),
        (WHOLE.replace("ConvK3", "ConvK4"), "kernel size 4"),
        (WHOLE.replace("ConvK3", "ConvK13"), "kernel size 13"),
        (WHOLE.replace("ResK3K3", "ResK3K2"), "kernel size 2"),
        (WHOLE.replace("ResK3K3", "ResK3K0"), "kernel size 0"),
        (WHOLE.replace("ResK3K3", "ResK0K3"), "kernel size 0"),
        (WHOLE.replace("IDWE1K3", "IDWE0K3"), "expansion 0"),
        (WHOLE.replace("IDWE1K3", "IDWE17K3"), "expansion 17"),
    ],
)
def test_a_broken_string_is_refused_with_the_part_that_breaks_it(text: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_architecture(text)
    message = str(raised.value)
    assert words in message
    assert "\n" not in message


@given(st.text(alphabet="SuperConvKResIDWBNRELUPAFPNHead0123456789(),. \n'", max_size=60), st.integers(0, len(WHOLE)))
def test_any_text_gives_a_detector_or_one_line(text: str, position: int) -> None:
    broken = WHOLE[:position] + text + WHOLE[position:]
    try:
        detector = parse_architecture(broken)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert parse_architecture(str(detector)) == detector


@pytest.mark.parametrize("text", ["", "SuperConvK3BNRELU", f"{FIRST}{FIRST}", f" {FIRST}"])
def test_a_block_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no block string") as raised:
        parse_stage(text)
    assert f"'{text}'" in str(raised.value)


def test_a_bottleneck_residual_is_told_from_two_kernels() -> None:
    assert parse_stage("SuperResK1K3K1(8,8,2,8,1)").family is Family.BOTTLENECK
    assert parse_stage("SuperResK1K3(8,8,2,8,1)").family is Family.RESIDUAL
    assert parse_stage("SuperResK1K1(8,8,2,8,1)").second_kernel_size == 1


def test_widened_channels_are_rounded_to_the_nearest_multiple_of_8() -> None:
    assert [round_to_multiple_of_8(c) for c in (1, 8, 11, 12, 19, 20, 36)] == [8, 8, 8, 16, 16, 24, 40]


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_published_detectors_are_there_by_name(name: str) -> None:
    detector = published_detector(name)
    assert resolve_architecture(name) == detector
    assert resolve_architecture(str(detector)) == detector
    assert "PAFPN" not in str(detector)


def test_the_names_of_the_published_detectors() -> None:
    assert PUBLISHED_NAMES == ("damofd-0.5g", "damofd-2.5g", "damofd-10g", "damofd-34g")
    with pytest.raises(InputError, match=r"no published detector 'damofd-1g'; there are damofd-0\.5g"):
        published_detector("damofd-1g")


def test_a_file_can_hold_the_string(tmp_path: Path) -> None:
    file = tmp_path / "architecture.txt"
    file.write_text("\n".join([FIRST, *REST]) + "\n")
    assert resolve_architecture(str(file)) == parse_architecture(WHOLE)


def test_an_architecture_that_is_neither_string_nor_file_nor_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'damofd-0.4g' is no block string, no file and none of damofd-0\.5g"):
        resolve_architecture("damofd-0.4g")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match=r"cannot read the architecture .*binary: it is not UTF-8 text"):
        resolve_architecture(str(binary))
    empty = tmp_path / "empty"
    empty.write_text("")
    with pytest.raises(InputError, match="architecture string breaks"):
        resolve_architecture(str(empty))
    with pytest.raises(InputError, match="is no block string, no file"):
        resolve_architecture(str(tmp_path))
