"""The description inside an artefact reads back as it was written, and a damaged one is refused."""

import json
from pathlib import Path

import pytest
from facenas.exporters.artefact import METADATA_KEY, describe, description_from_metadata
from helpers.random_architectures import detectors
from helpers.random_networks import TINY
from hypothesis import given

from facenas.architecture import Architecture
from facenas.errors import InputError
from facenas.units import Size

HERE = Path("model.onnx")


@given(detectors())
def test_a_description_reads_back(detector: Architecture) -> None:
    description = describe(detector, Size(640, 480), dynamic=True, origin={"data": "ünï", "step": 7})
    assert description_from_metadata(description.to_metadata(), HERE) == description


def changed(**values: object) -> dict[str, str]:
    metadata = describe(TINY, Size(96, 64), dynamic=False, origin={}).to_metadata()
    return {METADATA_KEY: json.dumps(json.loads(metadata[METADATA_KEY]) | values)}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "carries no facenas description"),
        ({"other": "{}"}, "carries no facenas description"),
        ({METADATA_KEY: "{"}, "damaged facenas description"),
        ({METADATA_KEY: "{}"}, "damaged facenas description"),
        ({METADATA_KEY: "[1]"}, "damaged facenas description"),
        (changed(schema=2), "description schema 2, this facenas reads 1; export again"),
        (changed(architecture="SuperConv"), "'SuperConv'"),
        (changed(architecture=None), "damaged facenas description"),
        (changed(input="640"), "size '640'"),
        (changed(input=640), "damaged facenas description"),
        (changed(preprocessing={"colour": "RGB"}), "damaged facenas description"),
        (changed(preprocessing={"colour_order": "GRB"}), "colour order 'GRB' must be RGB or BGR"),
        (changed(preprocessing={"standard_deviation": 0}), "standard deviation 0"),
        (changed(preprocessing={"standard_deviation": "x"}), "damaged facenas description"),
        (changed(nms_iou="high"), "damaged facenas description"),
        (changed(origin=3), "damaged facenas description"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused(metadata: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as raised:
        description_from_metadata(metadata, HERE)
    assert words in str(raised.value)
