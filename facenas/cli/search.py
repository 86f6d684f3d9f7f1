"""`facenas search`: the best DDSAR under the budgets, with its certificate."""

from pathlib import Path
from typing import Annotated

import typer

from facenas.cli.calibration_option import CalibrateOption, calibration_asked
from facenas.cli.input_option import AspectOption, CameraOption, FacesOption, InputOption, input_asked
from facenas.cli.names import DEVICE, SPACE, SUPERNET
from facenas.scoring.ddsar import DEFAULT_ALPHA
from facenas.spaces import DEFAULT_SPACE


def search(
    latency: Annotated[
        list[str] | None,
        typer.Option(
            help="budget, for example 5ms; 5ms@p90 for nine of ten runs; cpu=5ms where there are several devices"
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="target, repeatable (default: cpu); none: search without latencies", **DEVICE),
    ] = None,
    flops: Annotated[str | None, typer.Option(help="budget of multiply-accumulates, for example 500M")] = None,
    params: Annotated[str | None, typer.Option(help="budget of parameters, for example 0.3M")] = None,
    memory: Annotated[str | None, typer.Option(help="budget of peak activation memory, for example 8MB")] = None,
    layers: Annotated[
        int | None, typer.Option(help="most layers: a backbone's sub-layers, as the DamoFD release counts them")
    ] = None,
    released_flops: Annotated[
        str | None, typer.Option(help="budget of the backbone's FLOPs at 224x224, as the DamoFD release counts them")
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            help="facenas-elastic, facenas-edge, facenas-orin, damofd-0.5g, damofd-2.5g, or a space file (.json)",
            **SPACE,
        ),
    ] = DEFAULT_SPACE,
    kernels: Annotated[
        str | None, typer.Option(help="only kernels of these sizes, for example 3,5: those that the devices run well")
    ] = None,
    input_size: InputOption = None,
    aspect: AspectOption = None,
    camera: CameraOption = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="weight of the kernel sizes in the score (default: 0.25; 0 with learnt weights)"),
    ] = None,
    stage_weights: Annotated[
        str | None,
        typer.Option(
            help="paper, or from:DIR, which is --faces DIR "
            "(default: learnt ones where there is an accuracy table, else paper)"
        ),
    ] = None,
    faces: FacesOption = None,
    accuracy: Annotated[
        Path | None, typer.Option(help="accuracy table of a supernet of the space (default: one that ships, if any)")
    ] = None,
    rank_by: Annotated[str, typer.Option(help="what is maximised: ddsar, accuracy, flops, params or random")] = "ddsar",
    judge: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="judge so many of the best by ddsar and by accuracy as slices of --supernet on --data, take the best",
        ),
    ] = None,
    supernet: Annotated[
        Path | None,
        typer.Option(help="with --judge: checkpoint of the supernet (default: one that ships, if any)", **SUPERNET),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="with --judge: labelled photos")] = None,
    photos: Annotated[
        Path | None, typer.Option(help="with --judge: photos for the slices' norms, unlabelled (default: --data)")
    ] = None,
    algorithm: Annotated[str, typer.Option(help="exact, or evolution: the DamoFD release's, as a baseline")] = "exact",
    seed: Annotated[int, typer.Option(help="seed of the evolution, the random ranking and --rerank")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with the evolution that was stopped in --out")
    ] = False,
    top: Annotated[
        int, typer.Option(help="how many of the best to list; they differ in more than kernel sizes, neck and head")
    ] = 5,
    table: Annotated[
        list[Path] | None,
        typer.Option(help="latency table, repeatable (default: the one in ./latency_tables, else the shipped one)"),
    ] = None,
    calibrate: CalibrateOption = None,
    end_to_end: Annotated[
        bool,
        typer.Option(
            "--end-to-end",
            help="the budget is for all of it: decoding a photo of --camera (default: 1280x720), letterbox, suppression, too",
        ),
    ] = False,
    confirm: Annotated[
        bool,
        typer.Option(
            "--confirm",
            help="measure the --top best here (npu: let Vela estimate them) and take the first that meets its budgets",
        ),
    ] = False,
    rerank: Annotated[
        str | None, typer.Option(help="put the --top best in the order of another measure: naswot or zen (needs torch)")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for search.json")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Find the detector of a space that scores best within budgets, and prove that none scores more."""
    from facenas.cli import search_options as options
    from facenas.cli.bar import progress_bar
    from facenas.cli.output import print_result, tell
    from facenas.files import write_json
    from facenas.scoring.ddsar import ScoreSettings
    from facenas.scoring.zero_cost import ZeroCostProxy
    from facenas.searching.budgets import parse_budgets
    from facenas.searching.objective import Objective
    from facenas.steps.search import Algorithm, SearchSettings
    from facenas.steps.search import search as run_search

    devices, size = options.parse_devices(device), input_asked(input_size, aspect, camera)
    options.require_folder(out)
    budgets = parse_budgets(latency or [], devices, flops, params, memory, layers, released_flops)
    settings = SearchSettings(
        ScoreSettings(DEFAULT_ALPHA if alpha is None else alpha) if stage_weights == "paper" else None,
        alpha,
        options.parse_faces(faces, stage_weights),
        accuracy,
        options.parse_judging(judge, supernet, data, photos, space),
        options.parse_choice(Objective, rank_by, "--rank-by"),
        top if judge is None else judge,
        None if kernels is None else options.parse_kernels(kernels),
        options.parse_choice(Algorithm, algorithm, "--algorithm"),
        confirm=confirm,
        rerank=None if rerank is None else options.parse_choice(ZeroCostProxy, rerank, "--rerank"),
        seed=seed,
        calibrate=calibration_asked(calibrate),
        state_folder=out,
        resume=resume,
        end_to_end=options.photo_size(camera) if end_to_end else None,
    )
    with progress_bar() as progress:
        result = run_search(
            None,
            devices,
            budgets=budgets,
            space=space,
            input_size=size,
            settings=settings,
            tables=table or (),
            progress=progress,
        )
    if out is not None:
        write_json(out / "search.json", result.to_json())
    print_result(result, json)
    if not json:
        tell(result.words)
