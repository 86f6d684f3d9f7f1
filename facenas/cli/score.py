"""`facenas score`: DDSAR, FLOPs, parameters and layers of an architecture."""

from typing import Annotated

import typer


def score(
    arch: Annotated[str, typer.Argument(help="block string, file holding one, or published name (damofd-0.5g ...)")],
    alpha: Annotated[float, typer.Option(help="weight of the kernel sizes in the score")] = 0.25,
    resolution: Annotated[int, typer.Option(help="side in pixels of the square input that the score assumes")] = 224,
    input_size: Annotated[str, typer.Option("--input", help="input size for FLOPs, WIDTHxHEIGHT")] = "640x480",
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Score an architecture without training it."""
    from facenas.architecture import resolve_detector
    from facenas.cli.output import print_json, print_table
    from facenas.cost import detector_costs
    from facenas.scoring.ddsar import ScoreSettings, ddsar_score, sar_scores
    from facenas.units import parse_size

    detector = resolve_detector(arch)
    sar = sar_scores(detector.backbone, ScoreSettings(alpha, resolution))
    size = parse_size(input_size)
    costs = detector_costs(detector, size)
    layers = detector.backbone.layers
    if json:
        figures = {"ddsar": ddsar_score(sar), "sar": list(sar), "flops": costs.flops, "params": costs.params}
        print_json({**figures, "layers": layers})
        return
    rows = [
        ("DDSAR", f"{ddsar_score(sar):.4f}"),
        ("SAR by stage", "  ".join(f"{value:.3f}" for value in sar)),
        (f"FLOPs at {size}", f"{costs.flops / 1e6:,.2f} M"),
        ("parameters", f"{costs.params:,}"),
        ("peak activation memory", f"{costs.peak_memory_bytes / 1e6:.2f} MB"),
        ("layers", str(layers)),
    ]
    print_table(f"{arch} (alpha {alpha:g}, {resolution} px)", ("figure", "value"), rows)
