"""A search space of the user's own, as JSON:

    {"name": "mine",
     "stages": [["SuperConvK3BNRELU(3,16,2,1)", ...], ... five lists of block strings ...],
     "necks_and_heads": {"0": "PAFPN(16)HeadDW(32,2)", "48": "PAFPN(16)HeadDW(48,2)"}}

The keys of `necks_and_heads` are the least width of stage 3 that the design goes with; the first is 0.
"""

from pathlib import Path
from typing import Any

from facenas.architecture import NeckAndHead, Stage, parse_neck_and_head, parse_stage
from facenas.errors import InputError
from facenas.files import read_json
from facenas.spaces.space import Space


def read_space(path: Path) -> Space:
    """Raises InputError that names the file, the place and the entry that is impossible."""
    value = read_json(path, "space file")
    if not isinstance(value, dict) or not {"name", "stages", "necks_and_heads"} <= set(value):
        raise InputError(f"space file {path} must hold an object with 'name', 'stages' and 'necks_and_heads'")
    stages, designs = value["stages"], value["necks_and_heads"]
    if not isinstance(stages, list) or not all(isinstance(choices, list) for choices in stages):
        raise InputError(f"space file {path}: 'stages' must be five lists of block strings")
    if not isinstance(designs, dict) or "0" not in designs:
        raise InputError(f"space file {path}: 'necks_and_heads' must hold a design for the least width 0")
    try:
        return Space(
            str(value["name"]),
            tuple(tuple(_stage(text, number) for text in choices) for number, choices in enumerate(stages, 1)),
            tuple(sorted(_design(least, text) for least, text in designs.items())),
        )
    except InputError as error:
        raise InputError(f"space file {path}: {error}") from error


def _stage(text: Any, number: int) -> Stage:
    if not isinstance(text, str):
        raise InputError(f"stage {number} lists {text!r}, which is no block string")
    try:
        stage = parse_stage(text)
    except InputError as error:
        raise InputError(f"stage {number}: {error}") from error
    if stage.stride != 2:
        raise InputError(f"stage {number}: '{text}' has stride {stage.stride}; every stage must halve the side (2)")
    return stage


def _design(least: str, text: Any) -> tuple[int, NeckAndHead]:
    if not least.isdecimal():
        raise InputError(f"'{least}' is no width of stage 3; write a whole number of channels")
    return int(least), parse_neck_and_head(str(text))
