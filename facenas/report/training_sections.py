"""How it came about: the training curve, and the steps of the run."""

from collections.abc import Sequence

from facenas.report.axes import axis_over
from facenas.report.charts import Point, Series, line_chart
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.run_folder import LossLine, RunFolder, ValidationLine
from facenas.units import in_seconds

_CURVE_POINTS = 160


def training_section(folder: RunFolder) -> Html:
    """Losses and average precisions over the training steps."""
    title, training = "Training", folder.training
    if training is None:
        if folder.run is not None and folder.run.supernet:
            words = f"No training: the weights are a slice of supernet {folder.run.supernet}."
            return section("training", title, paragraph(words, kind="note"))
        reason = folder.missing["training/training.jsonl"]
        return section("training", title, paragraph(f"No training curve: {reason}.", kind="missing"))
    charts = [chart for chart in (_loss_chart(training.losses), _precision_chart(training.validations)) if chart]
    notes = []
    if training.losses:
        last = training.losses[-1]
        speed = f" at {last.crops_per_s:.0f} crops a second" if last.crops_per_s is not None else ""
        unfinished = "" if last.step >= last.steps else ", not finished"
        notes.append(f"{last.step:,} of {last.steps:,} steps{unfinished}{speed}.")
    if not training.validations:
        notes.append("No average precision over the steps: training/training.jsonl holds no validation.")
    if training.unread:
        notes.append(f"Lines of training/training.jsonl left out because they could not be read: {training.unread}.")
    if folder.synthetic:
        notes.append("Trained and validated on synthetic photos.")
    return section(
        "training", title, element("div", *charts, class_="columns"), paragraph(" ".join(notes), kind="note")
    )


def _loss_chart(losses: Sequence[LossLine]) -> Html | None:
    if not losses:
        return None
    names = [
        name for name in ("score", "box", "landmark") if name != "landmark" or any(line.landmark for line in losses)
    ]
    series = []
    for name in names:
        points = _averaged([(line.step, getattr(line, name)) for line in losses])
        series.append(Series(f"{name} loss", points, f"{points[-1][1]:.3f}"))
    values = [value for each in series for _, value in each.points]
    steps = [step for step, _ in series[0].points]
    return line_chart(
        "Losses", axis_over("step", steps, from_zero=True), axis_over("loss", values, from_zero=True), series
    )


def _precision_chart(validations: Sequence[ValidationLine]) -> Html | None:
    series = []
    for name in ("easy", "medium", "hard", "all"):
        points = tuple((float(line.step), value) for line in validations if (value := getattr(line, name)) is not None)
        if points:
            series.append(Series(f"AP {name}", points, f"{points[-1][1]:.3f}", dots=True))
    if not series:
        return None
    values = [value for each in series for _, value in each.points]
    steps = [line.step for line in validations]
    y = axis_over("average precision, validation photos", values, from_zero=True)
    return line_chart("Average precision in training", axis_over("step", steps, from_zero=True), y, series)


def _averaged(points: Sequence[Point]) -> tuple[Point, ...]:
    """Means of neighbouring points, at most about _CURVE_POINTS of them, each at its last step."""
    width = max(1, -(-len(points) // _CURVE_POINTS))
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return tuple((float(group[-1][0]), sum(value for _, value in group) / len(group)) for group in groups)


def steps_section(folder: RunFolder) -> Html:
    """The finished steps of the run with their durations."""
    title = "Steps of the run"
    if folder.run is None:
        return section("steps", title, paragraph(f"No steps: {folder.missing['run.json']}.", kind="missing"))
    rows = [(step.name, in_seconds(step.seconds), step.summary) for step in folder.run.steps]
    total = in_seconds(sum(step.seconds for step in folder.run.steps))
    return section("steps", title, table(("step", "duration", "outcome"), [*rows, ("together", total, "")], {1}))
