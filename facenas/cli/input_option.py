"""The options of `search` and `run` that say which inputs are searched, and for whose faces."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from facenas.searching.any_input import AnyInput
    from facenas.units import Size

InputOption = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="640x480; several with commas between; any (default where an accuracy table compares them, else 640x480)",
    ),
]
AspectOption = Annotated[
    str | None, typer.Option("--aspect", help="shape of --input any, for example 16:9 (default: 4:3)")
]
CameraOption = Annotated[
    str | None,
    typer.Option("--camera", help="the camera's picture, for example 1920x1080: inputs of its shape, none larger"),
]
FacesOption = Annotated[
    str | None,
    typer.Option(
        "--faces",
        help="whose faces: labelled photos, or sizes such as 20px..200px@1920x1080; they weigh AP and the score's stages",
    ),
]


def input_asked(
    text: str | None, aspect: str | None, camera: str | None
) -> "Size | tuple[Size, ...] | AnyInput | None":
    """What the options ask for; None where they say nothing. Raises InputError for other words."""
    from facenas.searching.any_input import parse_input

    if text is None and aspect is None and camera is None:
        return None
    return parse_input(text or "any", aspect, camera)
