"""A small detector that finds faces in noise, exported to any format."""

from pathlib import Path

import numpy as np
from facenas.exporters.formats import FORMATS, ExportOptions, export_model
from facenas.exporters.onnx import onnx_of_checkpoint

from facenas.units import Size
from helpers.random_networks import TINY, confident_checkpoint

SIZE = Size(96, 64)
PHOTO = np.random.default_rng(0).integers(0, 256, (SIZE.height_px, SIZE.width_px, 3), dtype=np.uint8)


def exported(file_format: str, folder: Path, precision: str = "fp32", *, dynamic: bool = False) -> Path:
    """Its file in `folder`, with the usual name."""
    model = onnx_of_checkpoint(confident_checkpoint(TINY, SIZE), dynamic=dynamic)
    out = folder / FORMATS[file_format].file_name
    return export_model(model, file_format, out, ExportOptions(precision)).path
