"""The top of the page: the verdict, the budget, the figures that decide, and the gates in one line."""

from facenas.cost import cost_of
from facenas.latency.provenance import ESTIMATED, predicted_from
from facenas.report.markup import Html, element, paragraph
from facenas.run_folder import RunFolder
from facenas.units import LOW_PERCENTILE, in_ms, in_percent


def gate_word(passed: bool | None) -> Html:
    """A gate's verdict, in a word and a sign as well as in colour."""
    kind, word = {
        True: ("passed", "✓ passed"),
        False: ("failed", "✕ failed"),
        None: ("unmeasured", "– not measured"),
    }[passed]
    return element("span", word, class_=f"verdict {kind}")


def verdict(folder: RunFolder) -> tuple[str, Html]:
    """The verdict in plain words (for the page's title), and as a coloured word.

    Only a run whose every gate was tried and passed is called passed.
    """
    verification = folder.verification
    if verification is None:
        words, kind = "Not verified", "unmeasured"
    elif all(gate.passed is None for gate in verification.gates):
        words, kind = "Nothing was measured", "unmeasured"
    elif not verification.passed or any(gate.passed is False for gate in verification.gates):
        words, kind = "Failed", "failed"
    elif untried := sum(gate.passed is None for gate in verification.gates):
        words, kind = f"Not failed, but {untried} gate{'s' * (untried > 1)} not measured", "unmeasured"
    elif verification.latency.measured_ms is None and verification.latency.estimated_ms is not None:
        words, kind = "Passed, with a latency that is estimated by Vela", "passed"
    else:
        words, kind = "Passed", "passed"
    return words, element("span", words, class_=kind)


def budget_text(folder: RunFolder) -> str:
    """The budgets in one line, for example `latency on cpu within 5.00 ms`."""
    budgets = ((cost_of(key), value) for key, value in folder.budgets.items())
    return ", ".join(f"{cost.label} within {cost.unit.text(value)}" for cost, value in budgets)


def verdict_header(folder: RunFolder) -> Html:
    """The top of the page: verdict, budget, the figures that decide, and the gates in one line."""
    budget = budget_text(folder)
    asked = f"Asked for: {budget}" if budget else "No budget is recorded"
    size = folder.run.input if folder.run else folder.search.input if folder.search else ""
    at = f" at {size}" if size else ""
    parts: list[str | None] = [
        paragraph("facenas run report", kind="eyebrow"),
        element("h1", verdict(folder)[1]),
        paragraph(f"{asked}{at}. {_against_budget(folder)}", kind="lead"),
        element("div", *_tiles(folder), class_="tiles"),
    ]
    if folder.verification is not None:
        gates = (element("li", gate.name, " ", gate_word(gate.passed)) for gate in folder.verification.gates)
        parts.append(element("ul", *gates, class_="gates"))
    else:
        parts.append(paragraph(f"Nothing is proved: {folder.missing['verify.json']}.", kind="missing"))
    if (machine := _machine(folder)) is not None:
        parts.append(machine)
    if folder.synthetic:
        how = "Trained and judged"
        if folder.run is not None and folder.run.supernet:
            how = f"A slice of supernet {folder.run.supernet}, which was trained on real faces, judged here"
        words = f"{how} on synthetic photos: the average precision here says nothing about real ones."
        parts.append(paragraph(words, kind="warning"))
    return element("header", *parts)


def _against_budget(folder: RunFolder) -> str:
    latency = folder.verification.latency if folder.verification else None
    if latency is None or latency.judged_ms is None or latency.budget_ms is None:
        return "Its latency was not measured."
    share = latency.judged_ms / latency.budget_ms - 1
    side = "above" if share > 0 else "below"
    how, rest = (
        ("Estimated by Vela for", " It was not measured.") if latency.measured_ms is None else ("Measured on", "")
    )
    at = "" if latency.percentile == LOW_PERCENTILE else f" at the {latency.percentile}th percentile"
    return f"{how} {latency.target}: {in_ms(latency.judged_ms)}{at}, {in_percent(abs(share))} {side} the budget.{rest}"


def _machine(folder: RunFolder) -> Html | None:
    """Which processor and runtime the milliseconds are of, and of what machine and day the table is."""
    facts = folder.table
    if facts is None:
        return None
    return paragraph(f"Latency: {facts.words}.", kind="note")


def _tiles(folder: RunFolder) -> list[Html]:
    def tile(name: str, value: str, note: str) -> Html:
        return element("div", element("span", name), element("b", value), element("span", note), class_="tile")

    tiles = [
        tile(f"budget, {cost.label}", cost.unit.text(value), "asked for")
        for cost, value in ((cost_of(key), value) for key, value in folder.budgets.items())
    ]
    predicted_ms, provenance = predicted_latency(folder)
    if predicted_ms is not None:
        tiles.append(tile("predicted latency", in_ms(predicted_ms), predicted_from(provenance)))
    verification = folder.verification
    if verification is None:
        return tiles
    latency = verification.latency
    if latency.measured_ms is not None:
        tail = [
            f"{name} {in_ms(value)}"
            for name, value in (("50th", latency.median_ms), ("90th", latency.p90_ms))
            if value is not None
        ]
        note = f"20th percentile; {', '.join(tail)}" if tail else "measured"
        tiles.append(tile("measured latency", in_ms(latency.measured_ms), note))
    elif latency.estimated_ms is not None:
        tiles.append(tile("estimated latency", in_ms(latency.estimated_ms), ESTIMATED))
    else:
        tiles.append(tile("measured latency", "–", "not measured"))
    known = {name: figure for name, figure in verification.ap.artefact.items() if figure is not None}
    if known:
        name, figure = list(known.items())[-1]
        kind = "synthetic photos" if folder.synthetic else verification.data
        tiles.append(tile(f"average precision, {name}", f"{figure:.3f}", f"measured on {kind}"))
    return tiles


def predicted_latency(folder: RunFolder) -> tuple[float | None, str | None]:
    """The predicted latency on the run's target and the provenance of its table, from the best source there is."""
    verification, search, target = folder.verification, folder.search, folder.target
    if verification is not None and verification.latency.predicted_ms is not None:
        return verification.latency.predicted_ms, verification.latency.provenance
    if folder.prediction is not None:
        return folder.prediction.latency_ms, folder.prediction.provenance
    if search is not None and target is not None and target in search.best.latency_ms:
        return search.best.latency_ms[target], search.provenance.get(target)
    return None, None
