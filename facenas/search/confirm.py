"""Confirm: measure the best candidates on their devices, and put first the best that really meets its budgets.

A prediction has its error, and the optimum under a budget lies close to it, so some candidates are over it in truth.
They are measured untrained: latency does not depend on the weights. All of a device are timed in turns.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from facenas.architecture import Detector, parse_detector
from facenas.devices.runtimes import load_model
from facenas.devices.targets import require_available, resolve_target
from facenas.errors import BudgetError
from facenas.graph import build_graph
from facenas.latency.measure import measure_latency
from facenas.search.result import Candidate, SearchResult
from facenas.units import Size

Report = Callable[[int, int, str], None]


def confirm(result: SearchResult, budgets_ms: Mapping[str, float], input_size: Size, report: Report) -> SearchResult:
    """The result with `measured_ms` of every candidate of `top`; those within `budgets_ms` (by target) come first.

    The certificate calls the choice optimal only where it is still the one that was certified. Raises BudgetError where
    no candidate meets its budgets, InputError or MissingPackageError where a target cannot run here.
    """
    detectors = [parse_detector(candidate.architecture) for candidate in result.top]
    measured = {name: _measure(detectors, name, input_size, report) for name in result.best.latency_ms}
    top = [
        replace(candidate, measured_ms={name: round(values[index], 4) for name, values in measured.items()})
        for index, candidate in enumerate(result.top)
    ]
    confirmed = [candidate for candidate in top if _meets(candidate, budgets_ms)]
    if not confirmed:
        raise _refuse(top, budgets_ms)
    others = [candidate for candidate in top if candidate not in confirmed]
    optimal = result.certificate.optimal and confirmed[0] is top[0]
    return replace(
        result, top=(*confirmed, *others), certificate=replace(result.certificate, optimal=optimal), confirmed=True
    )


def require_confirmable(device_names: list[str]) -> None:
    """Raises InputError or MissingPackageError before the search where a device cannot be measured here."""
    for name in device_names:
        require_available(resolve_target(name))


def _meets(candidate: Candidate, budgets_ms: Mapping[str, float]) -> bool:
    return all(candidate.measured_ms[name] <= budget_ms for name, budget_ms in budgets_ms.items())


def _measure(detectors: list[Detector], name: str, input_size: Size, report: Report) -> list[float]:
    """Milliseconds of each detector on one target."""
    from facenas.exporters.onnx_graph import build_onnx, random_weights

    target, models = resolve_target(name), []
    for detector in detectors:
        graph = build_graph(detector, input_size)
        onnx_bytes = build_onnx(graph, random_weights(graph)).SerializeToString()
        models.append(load_model(onnx_bytes, target, timing_only=True))
    what = f"measuring {len(models)} candidates on {name}"
    latencies = measure_latency(models, progress=lambda done, total: report(done, total, what))
    return [latency.latency_ms for latency in latencies]


def _refuse(top: list[Candidate], budgets_ms: Mapping[str, float]) -> BudgetError:
    """Names the device whose budget is missed by the most, at its best."""
    least = {name: min(candidate.measured_ms[name] for candidate in top) for name in budgets_ms}
    name = max(budgets_ms, key=lambda name: least[name] / budgets_ms[name])
    return BudgetError(
        f"none of the {len(top)} best candidates meets its budgets when measured; on {name} the fastest takes "
        f"{least[name]:.3f} ms of {budgets_ms[name]:g} ms; search with --calibrate, a larger --top or a lower budget"
    )
