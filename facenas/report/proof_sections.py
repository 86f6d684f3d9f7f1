"""What was proved: predicted against measured latency, precision and recall, photos, gates."""

from facenas.cost import latency_cost
from facenas.data.image import read_image
from facenas.errors import InputError
from facenas.evaluation.gates import Gate, Precision
from facenas.evaluation.verification import Verification
from facenas.latency.provenance import ESTIMATED, predicted_from
from facenas.report.axes import Axis
from facenas.report.charts import Bar, Guide, Series, bar_chart, line_chart
from facenas.report.images import as_data_uri
from facenas.report.markup import Html, element, paragraph, section, table
from facenas.report.verdict import gate_word, predicted_latency
from facenas.run_folder import Curve, RunFolder
from facenas.units import in_ms, in_percent

MAX_PHOTOS = 12
_CURVE_POINTS = 150


def latency_section(folder: RunFolder) -> Html:
    """Predicted against measured latency, with the budget."""
    latency = folder.verification.latency if folder.verification else None
    measured_ms = latency.measured_ms if latency is not None else None
    estimated_ms = latency.estimated_ms if latency is not None and measured_ms is None else None
    title = "Predicted against measured" if estimated_ms is None else "Predicted against estimated"
    predicted_ms, provenance = predicted_latency(folder)
    if predicted_ms is None and measured_ms is None and estimated_ms is None:
        reasons = "; ".join(reason for name, reason in folder.missing.items() if name in ("verify.json", "search.json"))
        return section("latency", title, paragraph(f"No latency to compare: {reasons}.", kind="missing"))
    bars = []
    if predicted_ms is not None:
        prediction = folder.prediction
        interval = (prediction.low_ms, prediction.high_ms) if prediction is not None else None
        note = predicted_from(provenance)
        bars.append(Bar("predicted", predicted_ms, in_ms(predicted_ms), note, interval, quiet=True))
    if measured_ms is not None:
        bars.append(Bar("measured", measured_ms, in_ms(measured_ms), f"on {folder.target}"))
    if estimated_ms is not None:
        bars.append(Bar("estimated", estimated_ms, in_ms(estimated_ms), f"{ESTIMATED}, for {folder.target}"))
    budget_ms = None if folder.target is None else folder.budgets.get(latency_cost(folder.target).key)
    guide = None if budget_ms is None else Guide(budget_ms, f"budget {in_ms(budget_ms)}")
    return section(
        "latency", title, bar_chart(title, bars, guide=guide, wide_px=1000), paragraph(_agreement(folder), kind="note")
    )


def _agreement(folder: RunFolder) -> str:
    words = []
    latency = folder.verification.latency if folder.verification else None
    if latency is None or latency.found_ms is None:
        words.append("The latency was not measured, so nothing is known of the prediction's error.")
    elif latency.predicted_ms is None:
        words.append("There was no prediction to compare it with.")
    else:
        percent = 100 * (latency.found_ms / latency.predicted_ms - 1)
        how = "Vela's estimate, which is no measurement," if latency.measured_ms is None else "Measured"
        words.append(f"{how} is {abs(percent):.1f} % {'above' if percent > 0 else 'below'} predicted.")
    if folder.prediction is not None:
        low, high = in_ms(folder.prediction.low_ms), in_ms(folder.prediction.high_ms)
        words.append(f"The whisker is the prediction's 90 % interval, {low} to {high}.")
    return " ".join(words)


def precision_section(folder: RunFolder) -> Html:
    """Average precision before and after export, and the precision-recall curves."""
    parts: list[Html] = []
    verification = folder.verification
    if verification is not None:
        parts.append(element("div", _precision_table(verification.ap), _precision_note(folder, verification)))
    else:
        parts.append(paragraph(f"No average precision: {folder.missing['verify.json']}.", kind="missing"))
    if folder.curves:
        known = verification.ap.artefact if verification is not None else {}
        series = []
        for name, curve in folder.curves.items():
            figure = known.get(name)
            if curve:
                series.append(Series(name, thinned_curve(curve), "" if figure is None else f"AP {figure:.3f}"))
        axes = Axis("recall", 0, 1), Axis("precision", 0, 1)
        if series:
            parts.insert(0, line_chart("Precision and recall", *axes, series))
    else:
        reason = folder.missing.get("evaluation.json", "evaluation.json holds no setting")
        parts.append(paragraph(f"No precision-recall curve: {reason}.", kind="missing"))
    return section("precision", "Precision and recall", element("div", *parts, class_="columns"))


def thinned_curve(curve: Curve) -> tuple[tuple[float, float], ...]:
    """Points (recall, precision) in rising recall, at most about _CURVE_POINTS, without those before the first find."""
    found = [(recall, precision) for precision, recall in curve if recall > 0] or [(0.0, 0.0)]
    found.sort(key=lambda point: point[0])
    step = max(1, len(found) // _CURVE_POINTS)
    return (*found[:-1:step], found[-1])


def _precision_table(ap: Precision) -> Html:
    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    rows = [
        (name, text(before), text(ap.artefact.get(name)))
        for name, before in ap.reference.items()
        if before is not None or ap.artefact.get(name) is not None
    ]
    return table(("average precision", "before export", "exported file"), rows, {1, 2})


def _precision_note(folder: RunFolder, verification: Verification) -> Html:
    photos = "synthetic photos" if folder.synthetic else "photos"
    drop = "no drop was measured" if verification.ap.drop is None else f"largest drop {verification.ap.drop:.4f}"
    official = verification.ap.artefact.get("all") is None
    protocol = (
        "by the WIDER FACE protocol" if official else "with all faces counted, matched as in the WIDER FACE protocol"
    )
    words = f"Measured on the {photos} of {verification.data} {protocol} (IoU 0.5); {drop}."
    return paragraph(words, kind="note")


def photo_section(folder: RunFolder) -> Html:
    """Photos with found faces in green and missed ones in red, inside the page."""
    title = "Found and missed faces"
    if not folder.photos:
        return section("photos", title, paragraph(f"No photos: {folder.missing['photos']}.", kind="missing"))
    kind = "Synthetic photos" if folder.synthetic else "Photos"
    count = len(folder.photos)
    shown = f", {MAX_PHOTOS} of {count} shown" if count > MAX_PHOTOS else ""
    figures, unread = [], []
    for path in folder.photos[:MAX_PHOTOS]:
        try:
            image = element("img", src=as_data_uri(read_image(path)), alt=f"faces found in {path.name}")
        except InputError as error:
            unread.append(paragraph(str(error), kind="missing"))
            continue
        figures.append(element("figure", image, element("figcaption", path.name)))
    return section(
        "photos",
        title,
        paragraph(
            f"{kind}{shown}. Boxes: ",
            element("b", "green", class_="passed"),
            " found, with the score; ",
            element("b", "red", class_="failed"),
            " missed.",
        ),
        element("div", *figures, class_="photos"),
        *unread,
    )


def gate_section(folder: RunFolder) -> Html:
    """Every gate with its value and limit, and the differences that they were decided on."""
    verification = folder.verification
    if verification is None:
        return section(
            "gates", "Gates", paragraph(f"No gate was tried: {folder.missing['verify.json']}.", kind="missing")
        )

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    rows = [
        (gate.name, gate_word(gate.passed), number(gate.value), number(gate.limit), _gate_note(gate))
        for gate in verification.gates
    ]
    tensors = [
        (name, _difference(parity.max_abs), _difference(parity.mean_abs), f"{parity.cosine:.6f}")
        for name, parity in verification.tensor.items()
    ]
    boxes = verification.boxes
    faces = "Faces were not compared."
    if boxes is not None and not boxes.reference_faces:
        faces = (
            f"The reference finds no face on {verification.photos} photos of {verification.data}: nothing to compare."
        )
    elif boxes is not None:
        faces = (
            f"Faces: {in_percent(boxes.matched)} of the reference's {boxes.reference_faces} have a partner in the "
            f"exported file; scores of partners differ by at most {boxes.max_score_difference:.2e}. "
            f"Compared on {verification.photos} photos of {verification.data}."
        )
    departure = verification.first_departure
    return section(
        "gates",
        "Gates",
        table(("gate", "verdict", "value", "limit", "what"), rows, {2, 3}),
        *([] if departure is None else [paragraph(f"Bisected: {departure}.")]),
        element("h3", "Exported file against its reference"),
        table(("output", "largest difference", "mean difference", "least cosine"), tensors, {1, 2, 3}),
        paragraph(faces, kind="note"),
        paragraph("Artefact ", element("code", str(verification.artefact)), kind="note"),
        paragraph("Reference ", element("code", str(verification.reference)), kind="note"),
    )


def _gate_note(gate: Gate) -> str:
    return "" if gate.passed is None and gate.note == "not measured" else gate.note


def measured_provenance(folder: RunFolder) -> list[tuple[str, str, str]]:
    """Rows (number, value, where it comes from) of what verification measured or compared with."""
    verification = folder.verification
    if verification is None:
        return []
    latency = verification.latency
    rows = []
    if latency.predicted_ms is not None:
        rows.append(
            (
                f"predicted latency on {latency.target}, verified",
                in_ms(latency.predicted_ms),
                predicted_from(latency.provenance),
            )
        )
    if latency.measured_ms is not None:
        rows.append(
            (
                f"measured latency on {latency.target}",
                in_ms(latency.measured_ms),
                "measured: the exported file, end to end",
            )
        )
    elif latency.estimated_ms is not None:
        source = f"{ESTIMATED}: the exported file, compiled; not measured"
        rows.append((f"estimated latency on {latency.target}", in_ms(latency.estimated_ms), source))
    kind = "synthetic photos" if folder.synthetic else "photos"
    for name, figure in verification.ap.artefact.items():
        if figure is not None:
            rows.append(
                (
                    f"average precision, {name}",
                    f"{figure:.4f}",
                    f"measured: the exported file on {kind} of {verification.data}",
                )
            )
    return rows


def _difference(value: float | None) -> str:
    return "unlike" if value is None else f"{value:.2e}"
