"""Score: what can be said of an architecture without training or measuring it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facenas.architecture import Architecture
from facenas.cost import Costs, detector_costs
from facenas.given import given_architecture
from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
from facenas.shown import Rows, Shown, figures
from facenas.units import DEFAULT_INPUT, Size, as_size


@dataclass(frozen=True, repr=False)
class Score(Shown):
    """DDSAR and the SAR-Score of each stage, and what the whole detector costs at an input size; `layers` of its backbone
    as the release counts them."""

    architecture: str
    settings: ScoreSettings
    input_size: Size
    ddsar: float
    sar: tuple[float, ...]
    costs: Costs
    layers: int

    def line(self) -> str:
        """DDSAR and FLOPs."""
        return f"DDSAR {self.ddsar:.4f}, {self.costs.flops / 1e6:,.1f} M FLOPs, {self.costs.params:,} parameters"

    def shown(self) -> tuple[Rows, ...]:
        """All figures."""
        rows = (
            ("DDSAR", f"{self.ddsar:.4f}"),
            ("SAR by stage", "  ".join(f"{value:.3f}" for value in self.sar)),
            (f"FLOPs at {self.input_size}", f"{self.costs.flops / 1e6:,.2f} M"),
            ("parameters", f"{self.costs.params:,}"),
            ("peak activation memory", f"{self.costs.peak_memory_bytes / 1e6:.2f} MB"),
            ("layers", str(self.layers)),
        )
        title = f"{self.architecture} (alpha {self.settings.alpha:g}, {self.settings.resolution_px} px)"
        return (figures(title, rows),)

    def to_json(self) -> dict[str, Any]:
        """The fields of the command line's contract."""
        values = {"ddsar": self.ddsar, "sar": list(self.sar), "flops": self.costs.flops, "params": self.costs.params}
        return {**values, "layers": self.layers}


def score(
    architecture: str | Path | Architecture,
    *,
    input_size: str | Size | None = None,
    settings: ScoreSettings = ScoreSettings(),  # frozen
) -> Score:
    """Score `architecture`: a block string, a published name, or a file or folder that holds one; at `input_size` (default:
    that of the file, else 640x480). Raises InputError for other words."""
    given = given_architecture(architecture)
    detector, size = given.architecture, as_size(input_size or given.input_size or DEFAULT_INPUT)
    sar = sar_scores(detector.backbone, settings)
    return Score(
        str(architecture),
        settings,
        size,
        ddsar_score(sar, settings.stage_weights),
        tuple(sar),
        detector_costs(detector, size),
        detector.backbone.layers,
    )
