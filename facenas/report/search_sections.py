"""What was chosen and why: the detector's figures, the frontier it was chosen from, where its milliseconds go."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from facenas.architecture import Architecture, Family, Stage, parse_architecture
from facenas.cost import FLOPS, LAYERS, MEMORY, PARAMS, Cost, cost_of, latency_cost
from facenas.errors import InputError
from facenas.graph import build_graph
from facenas.latency.predictor import OperatorCost, Prediction
from facenas.latency.provenance import ESTIMATED, predicted_from
from facenas.operators import Kind, Operator
from facenas.report.axes import axis_over
from facenas.report.charts import Bar, Guide, Mark, Series, bar_chart, line_chart
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.run_folder import RunFolder
from facenas.searching.candidate import Candidate
from facenas.searching.result import SearchResult
from facenas.units import in_megabytes, in_millions, in_ms, in_percent, parse_size

COSTLIEST = 12


def detector_section(folder: RunFolder) -> Html:
    """The chosen detector: score and costs against their budgets, and its stages."""
    title, search = "The chosen detector", folder.search
    if search is None:
        return section("detector", title, paragraph(f"No figures: {folder.missing['search.json']}.", kind="missing"))
    certificate = search.certificate
    space = f"the {certificate.space_size:,} networks of the space {search.space}{search.at_inputs}".rstrip()
    if certificate.bound is None:
        proof = f"The best that was found in {space}; how much better others may be is not known"
    elif certificate.optimal:
        proof = f"Certified: none of {space} has a {search.quantity} above {certificate.bound:.4f} within the budgets"
    elif search.best.reranked:
        by = " and ".join(search.best.reranked)
        more = f"none of {space} can have a {search.quantity} above {certificate.bound:.4f}"
        proof = f"Chosen among the {len(search.top)} best by {by}; {more}"
    else:
        proof = f"The best that was found; none of {space} can have a {search.quantity} above {certificate.bound:.4f}"
    return section(
        "detector",
        title,
        paragraph(f"{proof} ({certificate.labels:,} partial networks were formed)."),
        table(("figure", "value", "limit in the search", "where it comes from"), _figure_rows(search), {1, 2}),
        *_inputs(search),
        element("h3", "Stage by stage"),
        _stage_table(search.best.architecture),
        element("code", search.best.architecture),
    )


def _inputs(search: SearchResult) -> tuple[Html, ...]:
    """What the best of every input would have been, where the search chose among several."""
    if not search.inputs:
        return ()
    rows = []
    for choice in search.inputs:
        if choice.best is not None:
            name = f"{choice.input} (chosen)" if choice.input == search.input else choice.input
            latencies = (in_ms(choice.best.latency_ms[target]) for target in search.provenance)
            ap = "" if choice.best.ap is None else f"{choice.best.ap:.3f}"
            rows.append((name, ap, *latencies, in_millions(choice.best.flops)))
    columns = ("input", "predicted AP", *(latency_cost(target).label for target in search.provenance), "FLOPs")
    beyond = [paragraph(f"{search.inputs_beyond}.")] if search.inputs_beyond else []
    chart = _inputs_chart(search)
    return element("h3", "The best at each input"), *beyond, *chart, table(columns, rows, set(range(1, len(columns))))


def _inputs_chart(search: SearchResult) -> tuple[Html, ...]:
    """Predicted AP of the best at each input against its pixels: a small one finds no small faces, a large one leaves the
    network too few milliseconds for each."""
    best_by_input = {
        choice.input: choice.best.ap for choice in search.inputs if choice.best and choice.best.ap is not None
    }
    if len(best_by_input) < 3:
        return ()
    points = sorted((parse_size(name).pixels / 1e3, ap) for name, ap in best_by_input.items())
    x = axis_over("pixels of the input, thousands (log scale)", [pixels for pixels, _ in points], logarithmic=True)
    y = axis_over("predicted AP", [ap for _, ap in points])
    marks = []
    if search.input in best_by_input:
        ap = best_by_input[search.input]
        marks = [Mark((parse_size(search.input).pixels / 1e3, ap), (f"chosen: {search.input}", f"AP {ap:.3f}"))]
    series = [Series("best within the budgets", tuple(points), dots=True)]
    return (line_chart("The best at each input", x, y, series, marks=marks, wide_px=1000, height_px=280),)


def _figure_rows(search: SearchResult) -> list[tuple[str, str, str, str]]:
    def limit(cost: Cost) -> str:
        return cost.unit.text(search.budgets[cost.key]) if cost.key in search.budgets else ""

    score = f"alpha {search.score.alpha:g}, {search.score.resolution_px} px" if search.score is not None else ""
    size = f" at {search.input}" if search.input else ""
    return [
        ("DDSAR score", f"{search.best.ddsar:.4f}", "", f"computed, {score}" if score else "computed"),
        *_predicted_precision(search),
        *((name, f"{value:.3f}", "", "put the best in order") for name, value in search.best.reranked.items()),
        *(
            (
                latency_cost(target).label,
                in_ms(value),
                limit(latency_cost(target)),
                predicted_from(search.provenance.get(target)),
            )
            for target, value in search.best.latency_ms.items()
        ),
        *(
            (f"{latency_cost(target).label}, confirmed", in_ms(value), "", "measured, with untrained weights")
            for target, value in search.best.measured_ms.items()
        ),
        *(
            (f"{latency_cost(target).label}, confirmed", in_ms(value), "", f"{ESTIMATED}, not measured")
            for target, value in search.best.estimated_ms.items()
        ),
        ("FLOPs (multiply-accumulates)", in_millions(search.best.flops), limit(FLOPS), f"counted{size}"),
        ("parameters", in_millions(search.best.params), limit(PARAMS), "counted"),
        ("layers", str(search.best.layers), limit(LAYERS), "counted as the DamoFD release does"),
        (
            "peak memory",
            in_megabytes(search.best.peak_memory_bytes),
            limit(MEMORY),
            f"counted{size}, activations at fp32",
        ),
    ]


def _stage_table(architecture: str) -> Html:
    try:
        detector = parse_architecture(architecture)
    except InputError as error:
        return paragraph(str(error), kind="missing")
    rows = [(f"stage {number}", *_stage_cells(stage)) for number, stage in enumerate(detector.backbone.stages, 1)]
    design = detector.neck_and_head
    convs = "depthwise-separable" if design.depthwise else "full"
    rows.append(("neck", "PAFPN", "3×3", f"{design.neck_channels}", ""))
    rows.append(("head", f"{convs} convolutions", "3×3", f"{design.head_channels}", str(design.head_convs)))
    return table(("part", "block", "kernel", "channels", "sub-layers"), rows, {3, 4})


def _predicted_precision(search: SearchResult) -> list[tuple[str, str, str, str]]:
    if search.accuracy is None or search.best.ap is None:
        return []
    value = f"{search.best.ap:.3f} ± {search.accuracy.error_90:.3f}"
    return [("average precision", value, "", f"predicted from slices of {search.accuracy.supernet}")]


def _stage_cells(stage: Stage) -> tuple[str, str, str, str]:
    kernels = [stage.kernel_size, stage.second_kernel_size] if stage.second_kernel_size else [stage.kernel_size]
    family = "convolution" if stage.family is Family.CONV else str(stage.family)
    block = f"{family}, expansion {stage.expansion}" if stage.expansion else family
    if stage.bottleneck_channels:
        block += f", inner width {stage.bottleneck_channels}"
    kernel = ", ".join(f"{size}×{size}" for size in kernels)
    return block, kernel, f"{stage.in_channels} → {stage.out_channels}", str(stage.sublayers)


def frontier_section(folder: RunFolder) -> Html:
    """The best score at every latency, with the choice marked."""
    title, search = "The frontier", folder.search
    if search is None:
        return section("frontier", title, paragraph(f"No frontier: {folder.missing['search.json']}.", kind="missing"))
    if not search.frontier:
        return section("frontier", title, paragraph("No frontier: search.json lists no points of it.", kind="missing"))
    target = next(iter(search.best.latency_ms), None)

    def cost(candidate: Candidate) -> float:
        return candidate.flops / 1e6 if target is None else candidate.latency_ms[target]

    label = "FLOPs, millions" if target is None else f"{latency_cost(target).label}, ms"
    points = tuple(sorted((cost(candidate), search.value(candidate)) for candidate in search.frontier))
    chosen = (cost(search.best), search.value(search.best))
    limit = folder.budgets.get(FLOPS.key if target is None else latency_cost(target).key)
    if limit is not None and target is None:
        limit /= 1e6
    costs = [each for each, _ in (*points, chosen)] + ([limit] if limit is not None else [])
    stretched = min(costs) > 0 and max(costs) > 6 * min(costs)
    x = axis_over(f"{label}{' (log scale)' if stretched else ''}", costs, logarithmic=stretched)
    y = axis_over(search.quantity, [score for _, score in (*points, chosen)])
    unit = "M" if target is None else "ms"
    chart = line_chart(
        title,
        x,
        y,
        [Series("frontier", points, steps=True, dots=True)],
        marks=[Mark(chosen, (f"chosen: {chosen[0]:.2f} {unit}", f"{search.quantity} {chosen[1]:.3f}"))],
        guides=[] if limit is None else [Guide(limit, f"budget {limit:g} {unit}")],
        wide_px=1000,
        height_px=340,
    )
    provenance = "" if target is None else f"Latency is {predicted_from(search.provenance.get(target))}. "
    words = f"{provenance}Each dot is the network with the best {search.quantity} among those that cost no more. "
    if search.accuracy is not None:
        words += f"{search.accuracy.words[0].upper()}{search.accuracy.words[1:]}."
    else:
        words += "The score needs no training: it ranks networks and promises no precision."
    return section(
        "frontier", title, chart, paragraph(words, _reserve(folder, target), kind="note"), _frontier_details(search)
    )


def _reserve(folder: RunFolder, target: str | None) -> str | None:
    """Why the choice may lie short of the budget's line: the search was held to a little less."""
    key = latency_cost(target).key if target is not None else ""
    held_to, budget = folder.search.budgets.get(key) if folder.search else None, folder.budgets.get(key)
    if held_to is None or budget is None or not held_to < budget:
        return None
    kept = in_percent(1 - held_to / budget)
    return f" The search was held to {in_ms(held_to)}: {kept} of the budget is kept for errors of prediction."


def _frontier_details(search: SearchResult) -> Html:
    def rows(candidates: Iterable[Candidate]) -> list[tuple[str, ...]]:
        return [
            (
                f"{search.value(candidate):.4f}",
                *(in_ms(value) for value in candidate.latency_ms.values()),
                in_millions(candidate.flops),
                in_millions(candidate.params),
                element("code", candidate.architecture),
            )
            for candidate in candidates
        ]

    latencies = [f"predicted latency on {name}" for name in search.best.latency_ms]
    headers = (search.quantity, *latencies, "FLOPs", "parameters", "architecture")
    numbers = range(len(headers) - 1)
    parts = [
        element("summary", f"The {len(search.frontier)} points of the frontier"),
        *(
            paragraph(f"Latency on {name}: {predicted_from(search.provenance.get(name))}.", kind="note")
            for name in search.best.latency_ms
        ),
        table(headers, rows(search.frontier), numbers),
    ]
    runners_up = search.top[1:]
    if runners_up:
        parts.append(element("h3", "Runners-up within the budgets"))
        parts.append(table(headers, rows(runners_up), numbers))
    if search.ranges:
        parts.append(element("h3", "Where the budgets lie in the space"))
        ranges = [
            (cost.label, *(cost.unit.text(value) for value in (entry.least, entry.median, entry.largest)))
            for entry, cost in ((entry, cost_of(entry.name)) for entry in search.ranges)
        ]
        parts.append(table(("cost", "least", "median of a sample", "largest of a sample"), ranges, {1, 2, 3}))
    return element("details", *parts)


def milliseconds_section(folder: RunFolder) -> Html:
    """The predicted latency by part of the network and by kind of operator, and the costliest operators."""
    title, prediction = "Where the milliseconds go", folder.prediction
    if prediction is None:
        reason = folder.missing["prediction.json"]
        return section("milliseconds", title, paragraph(f"No share of operators: {reason}.", kind="missing"))
    operators = prediction.operators
    if not operators:
        reason = "No share of operators: prediction.json lists none."
        return section("milliseconds", title, paragraph(reason, kind="missing"))
    parts = _parts_of_network(folder, operators)
    kinds = [_kind(entry.operator) for entry in operators]
    charts = []
    if parts is not None:
        charts.append(_share_chart("By part of the network", prediction, parts))
    charts.append(_share_chart("By kind of operator", prediction, kinds, sort=True))
    words = f"Shares of the predicted {in_ms(prediction.latency_ms)} ({predicted_from(prediction.provenance)})."
    return section(
        "milliseconds",
        title,
        paragraph(words, kind="note"),
        element("div", *charts, class_="columns"),
        element("h3", f"The costliest of {len(operators)} operators, equal ones together"),
        _costliest_table(prediction, parts if parts is not None else [""] * len(operators)),
    )


def _costliest_table(prediction: Prediction, parts: Sequence[str]) -> Html:
    together: dict[tuple[str, str, str], list[float]] = {}
    for entry, part in zip(prediction.operators, parts, strict=True):
        together.setdefault((str(entry.operator), part, entry.source), []).append(entry.latency_us / 1e3)
    costliest = sorted(together.items(), key=lambda item: -sum(item[1]))[:COSTLIEST]
    rows = [
        (
            element("code", operator),
            part,
            str(len(costs_ms)),
            in_ms(sum(costs_ms)),
            in_percent(sum(costs_ms) / prediction.latency_ms),
            source,
        )
        for (operator, part, source), costs_ms in costliest
    ]
    return table(("operator", "part", "times", "together", "share", "source"), rows, {2, 3, 4})


def _parts_of_network(folder: RunFolder, operators: Sequence[OperatorCost]) -> list[str] | None:
    """For each operator its stage, `neck` or `head`; None where the operators are not those of the chosen detector."""
    search = folder.search
    if search is None or not search.input:
        return None
    try:
        detector: Architecture = parse_architecture(search.best.architecture)
        layers = build_graph(detector, parse_size(search.input)).layers
    except InputError:
        return None
    if [layer.operator for layer in layers] != [entry.operator for entry in operators]:
        return None
    return [_part(layer.name) for layer in layers]


def _part(layer: str) -> str:
    first, _, rest = layer.partition(".")
    if first == "backbone":
        return rest.partition(".")[0].replace("stage", "stage ")
    return "neck" if first == "neck" else "head"


def _kind(operator: Operator) -> str:
    size = f"{operator.kernel_size}×{operator.kernel_size}"
    match operator.kind:
        case Kind.CONV:
            return f"convolution {size}"
        case Kind.DEPTHWISE:
            return f"depthwise {size}"
        case Kind.UPSAMPLE:
            return "upsampling"


def _share_chart(title: str, prediction: Prediction, labels: Sequence[str], *, sort: bool = False) -> Html:
    """Bars of the operators' summed latency under each label, in order of appearance or falling."""
    order = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    pairs = sorted(zip(labels, prediction.operators, strict=True), key=lambda pair: order[pair[0]])
    totals = []
    for label, group in groupby(pairs, key=lambda pair: pair[0]):
        costs = [entry.latency_us / 1e3 for _, entry in group]
        count = f"{len(costs)} operator{'s' * (len(costs) > 1)}"
        totals.append((label, sum(costs), count))
    if sort:
        totals.sort(key=lambda total: -total[1])
    rest_ms = prediction.latency_ms - sum(total for _, total, _ in totals)
    if abs(rest_ms) > 0.005 * prediction.latency_ms:
        totals.append(("not in operators", rest_ms, "calibration's offset"))
    bars = [
        Bar(label, total, f"{in_ms(total)}, {in_percent(total / prediction.latency_ms)}", note)
        for label, total, note in totals
    ]
    return element("div", element("h3", title), bar_chart(title, bars))
