"""Targets of a whole batch: those that the assigner gives for each picture alone, on every device that is here."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facenas.data.labels import Labels
from facenas.graph import LANDMARK_COUNT
from facenas.training.anchor_targets import make_targets, stack_targets
from facenas.training.batch_targets import make_batch_targets, tensors_of

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda")] if torch.cuda.is_available() else [])]


def labels_of(boxes: list[tuple[float, float, float, float]], ignore: list[bool]) -> Labels:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [rng.uniform(0, 64, (len(boxes), LANDMARK_COUNT, 2)), rng.integers(0, 2, (len(boxes), LANDMARK_COUNT, 1))],
        axis=2,
    )
    return Labels(corners, points.astype(np.float32), np.array(ignore, bool))


PLACE = st.floats(0, 60, width=32)
# Irregular numbers: of cells that are equally near, any may be a candidate.
BOX = st.tuples(PLACE, PLACE, st.floats(1.5, 60, width=32), st.floats(1.5, 60, width=32)).map(
    lambda box: tuple(float(np.float32(value + 0.0137 * (place + 1))) for place, value in enumerate(box))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(BOX, st.booleans()), max_size=6), min_size=1, max_size=4))
def test_targets_are_those_of_each_picture_alone(
    crops: list[list[tuple[tuple[float, float, float, float], bool]]],
) -> None:
    each = [labels_of([box for box, _ in faces], [ignored for _, ignored in faces]) for faces in crops]
    expected = tensors_of(stack_targets([make_targets(labels, 64) for labels in each]), CPU)
    owner = np.repeat(np.arange(len(crops)), [len(labels) for labels in each])
    joined = Labels(
        *(np.concatenate([getattr(one, name) for one in each]) for name in ("boxes", "landmarks", "ignore"))
    )
    for device in DEVICES:
        made = make_batch_targets(joined, owner, len(crops), 64, device)
        assert (made.counted.cpu() == expected.counted).all()
        for of, as_expected in zip(made.chosen, expected.chosen, strict=True):
            assert of.cpu().tolist() == as_expected.tolist()
        torch.testing.assert_close(made.boxes.cpu(), expected.boxes)
        torch.testing.assert_close(made.landmarks.cpu(), expected.landmarks)
        assert (made.known.cpu() == expected.known).all()
