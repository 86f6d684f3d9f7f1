"""Confirm: measure the best candidates on their devices, and put first the best that really meets its budgets.

A prediction has its error, and the optimum under a budget lies close to it, so some candidates are over it in truth.
They are measured untrained: latency does not depend on the weights. All of a device are timed in turns. Where a device
is only known to its vendor's compiler, that compiler's estimate stands for the measurement, and is called so.

Where all are over, the search goes again, a few times at most, for a latency that is less by what was missed:

    limit' = min(0.99 * limit, budget * median of predicted / measured)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

from facenas.architecture import Architecture, parse_architecture
from facenas.devices.targets import resolve_target
from facenas.errors import BudgetError, InputError
from facenas.graph import build_graph
from facenas.progress import SILENT, Progress
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import load_model, require_available, runtime_of
from facenas.runtimes.timing import Latency, measure_latency
from facenas.searching.candidate import Candidate
from facenas.searching.result import SearchResult
from facenas.units import LOW_PERCENTILE, Size

Search = Callable[[Mapping[str, float]], SearchResult]
Load = Callable[..., CompiledModel]
Measure = Callable[..., list[Latency]]

ROUNDS = 4
_MIN_TIGHTENING = 0.99


def confirm(
    search: Search,
    budgets_ms: Mapping[str, float],
    input_size: Size,
    progress: Progress = SILENT,
    *,
    load: Load = load_model,
    measure: Measure = measure_latency,
) -> SearchResult:
    """The result of `search(budgets_ms)` with `measured_ms` or `estimated_ms` of every candidate; those within their budgets
    come first.

    Where none is, `search` is asked for less, up to ROUNDS searches in all, each told to `progress`. The bound stays that of
    the budgets themselves; the certificate calls the choice optimal only where it is still the one that was certified.
    Raises BudgetError where no candidate meets its budgets, InputError or MissingPackageError where a target cannot run
    here.
    """
    certified = result = search(budgets_ms)
    limits_ms = dict(budgets_ms)
    for number in range(1, ROUNDS + 1):
        top = _measured(result, partial(_measure, input_size=input_size, progress=progress, load=load, measure=measure))
        confirmed = [candidate for candidate in top if _meets(candidate, budgets_ms)]
        if confirmed:
            others = [candidate for candidate in top if candidate not in confirmed]
            still_certified = number == 1 and confirmed[0] is top[0]
            optimal = certified.certificate.optimal and still_certified
            return replace(
                certified,
                top=(*confirmed, *others),
                certificate=replace(certified.certificate, optimal=optimal),
                confirmed=True,
                tightened_ms={} if number == 1 else limits_ms,
            )
        missed = _missed(top, budgets_ms)
        if number < ROUNDS:
            limits_ms = _tightened(limits_ms, budgets_ms, top)
            result = _search_again(search, limits_ms, missed, f"search {number + 1} of at most {ROUNDS}", progress)
    raise BudgetError(f"{missed}, after {ROUNDS} searches; use --calibrate, a larger --top or a higher budget")


def _search_again(
    search: Search, limits_ms: Mapping[str, float], missed: str, which: str, progress: Progress
) -> SearchResult:
    asked = ", ".join(f"{name} {limit_ms:.3f} ms" for name, limit_ms in limits_ms.items())
    progress.note(f"{missed}; searching for a predicted {asked} ({which})")
    try:
        return search(limits_ms)
    except BudgetError as error:
        raise BudgetError(f"{missed}, and for a predicted {asked} there is none: {error}") from error


def require_confirmable(device_names: list[str]) -> None:
    """Raises InputError or MissingPackageError before the search where a device cannot be measured here."""
    if not device_names:
        raise InputError("--confirm measures latencies and --device none has none; name the --device to measure")
    for name in device_names:
        require_available(resolve_target(name))


def _meets(candidate: Candidate, budgets_ms: Mapping[str, float]) -> bool:
    return all(candidate.found_ms[name] <= budget_ms for name, budget_ms in budgets_ms.items())


def _tightened(
    limits_ms: Mapping[str, float], budgets_ms: Mapping[str, float], top: Sequence[Candidate]
) -> dict[str, float]:
    """Less for every device on which a candidate is over its budget, by what its predictions are too low."""
    tightened = dict(limits_ms)
    for name, budget_ms in budgets_ms.items():
        if any(candidate.found_ms[name] > budget_ms for candidate in top):
            ratio = median(candidate.latency_ms[name] / candidate.found_ms[name] for candidate in top)
            tightened[name] = round(min(_MIN_TIGHTENING * limits_ms[name], budget_ms * ratio), 6)
    return tightened


def _measured(
    result: SearchResult, latencies_of: Callable[[Sequence[Architecture], str], Sequence[Latency]]
) -> list[Candidate]:
    top = result.top
    detectors = [parse_architecture(candidate.architecture) for candidate in top]
    found = {}
    for name in top[0].latency_ms:
        latencies = latencies_of(detectors, name)
        found[name] = [latency.at(result.percentiles.get(name, LOW_PERCENTILE)) for latency in latencies]
    confirmed = []
    for index, candidate in enumerate(top):
        found_ms = {name: round(values[index], 4) for name, values in found.items()}
        estimated_ms = {name: value for name, value in found_ms.items() if runtime_of(resolve_target(name)).estimates}
        measured_ms = {name: value for name, value in found_ms.items() if name not in estimated_ms}
        confirmed.append(replace(candidate, measured_ms=measured_ms, estimated_ms=estimated_ms))
    return confirmed


def _measure(
    detectors: Sequence[Architecture], name: str, input_size: Size, progress: Progress, load: Load, measure: Measure
) -> list[Latency]:
    """The latency of each detector on one target."""
    from facenas.exporters.onnx_graph import build_onnx, random_weights

    target, models = resolve_target(name), []
    for detector in detectors:
        graph = build_graph(detector, input_size)
        onnx_bytes = build_onnx(graph, random_weights(graph)).SerializeToString()
        models.append(load(onnx_bytes, target, timing_only=True))
    what = f"{'estimating' if runtime_of(target).estimates else 'measuring'} {len(models)} candidates on {name}"
    return measure(models, progress=progress, what=what)


def _missed(top: Sequence[Candidate], budgets_ms: Mapping[str, float]) -> str:
    """Names the device whose budget is missed by the most, at its best."""
    least = {name: min(candidate.found_ms[name] for candidate in top) for name in budgets_ms}
    name = max(budgets_ms, key=lambda name: least[name] / budgets_ms[name])
    how = "by Vela's estimate" if runtime_of(resolve_target(name)).estimates else "when measured"
    return (
        f"none of the {len(top)} best candidates meets its budgets {how}: on {name} the fastest takes "
        f"{least[name]:.3f} ms of {budgets_ms[name]:g} ms"
    )
