"""A roofline of a board that nobody here has measured: from public specifications, fitted to published latencies.

An operator costs what its multiply-accumulates or its bytes take, whichever is more, and a fixed number of clock cycles
for its launch, its tail and what runtimes put beside it:

    time = max(macs / (compute_share * peak), bytes / (bandwidth_share * bandwidth)) + launch_cycles / clock

Channels of a dense convolution are counted in blocks of 8, as tensor cores take float16; depthwise convolutions run on
the CUDA cores. The three unknowns are the same for all boards of the Orin family, which have one GPU architecture, and
are fitted to figures of all of them. Published figures of networks that take no part in a fit say how wrong it is.
Nothing here is a measurement, and everything made of it is called `modelled`.
"""

import importlib.resources
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from facenas.architecture import Architecture
from facenas.arrays import Float64Array
from facenas.devices.fingerprint import Fingerprint
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.files import read_json
from facenas.graph import inventory
from facenas.latency.carriers import landmark_carriers, published_carriers
from facenas.latency.input_sizes import moved
from facenas.latency.published_networks import network_operators
from facenas.latency.table import Calibration, LatencyTable, OperatorTime
from facenas.operators import Kind, Operator
from facenas.spaces.named import load_space
from facenas.spaces.space import Space
from facenas.units import Size, significant

BYTES_PER_VALUE = 2
_CHANNEL_BLOCK = 8
# Multiply-accumulates of one multiprocessor in a clock cycle, float16, dense: tensor cores (a quarter of the 170 sparse
# INT8 TOPS that NVIDIA gives for 16 multiprocessors at 1.3 GHz, in pairs), and 128 CUDA cores two at a time.
_TENSOR_MACS_PER_CYCLE = 1024
_CUDA_MACS_PER_CYCLE = 256
_START = (0.5, 0.5, 20_000.0)
_LANDMARK_CARRIERS = 1_000_000  # all there are
_ALSO_COVERED = ("facenas-edge", "facenas-orin")


@dataclass(frozen=True)
class Board:
    """A board in one power mode, after its public specification."""

    name: str
    power_mode: str
    multiprocessors: int
    clock_hz: float
    bandwidth_bytes_s: float
    source: str


@dataclass(frozen=True)
class Figure:
    """A latency that somebody published; `fitted` figures make the roofline, the others only test it."""

    network: str
    board: str
    latency_ms: float
    source: str
    fitted: bool


@dataclass(frozen=True)
class Published:
    """Boards by name, and the figures on them."""

    boards: dict[str, Board]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Roofline:
    """What was fitted: shares of peak compute and bandwidth that are reached, and clock cycles for each operator."""

    compute_share: float
    bandwidth_share: float
    launch_cycles: float

    def operator_ns(self, operator: Operator, board: Board) -> float:
        """Nanoseconds of one fused operator in float16."""
        return float(self._times_ns(_work([operator]), board)[0])

    def network_ms(self, operators: Sequence[Operator], board: Board) -> float:
        """Milliseconds of a whole network."""
        return float(self._times_ns(_work(operators), board).sum() / 1e6)

    def _times_ns(self, work: Float64Array, board: Board) -> Float64Array:
        cycles, size_bytes = work
        compute_s = cycles / (board.multiprocessors * board.clock_hz * self.compute_share)
        memory_s = size_bytes / (board.bandwidth_bytes_s * self.bandwidth_share)
        return np.asarray(1e9 * (np.maximum(compute_s, memory_s) + self.launch_cycles / board.clock_hz))


def _work(operators: Sequence[Operator]) -> Float64Array:
    """float64 [2, operators]: cycles of one multiprocessor at its peak, and bytes read and written once."""
    return np.array([(_peak_cycles(operator), _bytes(operator)) for operator in operators], np.float64).T


def _peak_cycles(operator: Operator) -> float:
    if operator.kind is not Kind.CONV:
        return operator.macs / _CUDA_MACS_PER_CYCLE
    ins, outs = (-(-c // _CHANNEL_BLOCK) * _CHANNEL_BLOCK for c in (operator.in_channels, operator.out_channels))
    places = operator.out_height_px * operator.out_width_px
    return ins * outs * operator.kernel_size**2 * places / _TENSOR_MACS_PER_CYCLE


def _bytes(operator: Operator) -> int:
    weights = operator.weights_per_output * operator.out_channels
    return BYTES_PER_VALUE * (operator.in_values + operator.out_values + weights)


def read_published(path: Path | None = None) -> Published:
    """The published figures, by default those that ship. Raises InputError where the file is damaged."""
    path = path or Path(str(importlib.resources.files("facenas.latency") / "published_latencies.json"))
    value = read_json(path, "file of published latencies")
    try:
        boards = {
            key: Board(
                name=str(board["name"]),
                power_mode=str(board["power_mode"]),
                multiprocessors=int(board["multiprocessors"]),
                clock_hz=float(board["clock_mhz"]) * 1e6,
                bandwidth_bytes_s=float(board["bandwidth_gb_s"]) * 1e9,
                source=str(board["source"]),
            )
            for key, board in value["boards"].items()
        }
        figures = tuple(
            Figure(
                str(entry["network"]),
                str(entry["board"]),
                float(entry["latency_ms"]),
                str(value["sources"][entry["source"]]),
                bool(entry["fitted"]),
            )
            for entry in value["figures"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error!r}); install facenas again") from error
    return Published(boards, figures)


def fit(published: Published, figures: Iterable[Figure]) -> Roofline:
    """The roofline whose relative errors on `figures` are least, to six significant digits."""
    from scipy.optimize import least_squares

    figures = tuple(figures)
    works = [_work(network_operators(figure.network)) for figure in figures]

    def errors(values: Float64Array) -> Float64Array:
        roofline = Roofline(*map(float, values))
        return np.array(
            [
                np.log(roofline._times_ns(work, published.boards[figure.board]).sum() / 1e6 / figure.latency_ms)
                for figure, work in zip(figures, works, strict=True)
            ]
        )

    result = least_squares(errors, _START, bounds=([0.01, 0.01, 0.0], [1.0, 1.0, 1e6]), x_scale=_START)
    return Roofline(*(significant(float(value)) for value in result.x))


def held_out_ratios(published: Published, board: str | None = None) -> dict[Figure, float]:
    """Published / predicted latency where each network is predicted by a fit that has seen no figure of it.

    For figures that are fitted, the fit is repeated without their network. With `board`, of its name's figures only,
    in whatever power mode.
    """
    fitted = [figure for figure in published.figures if figure.fitted]
    chosen = [f for f in published.figures if board is None or published.boards[f.board].name == board]
    ratios = {}
    for network in dict.fromkeys(figure.network for figure in chosen):
        roofline = fit(published, (figure for figure in fitted if figure.network != network))
        for figure in chosen:
            if figure.network == network:
                predicted = roofline.network_ms(network_operators(network), published.boards[figure.board])
                ratios[figure] = figure.latency_ms / predicted
    return ratios


def modelled_table(
    target: Target,
    space: Space,
    input_size: Size,
    *,
    also: Iterable[Architecture] = (),
    other_inputs: tuple[Size, ...] = (),
) -> LatencyTable:
    """The modelled table of a target that is a board of the published figures: all operators of the space, of
    `_ALSO_COVERED`, of the published detectors and of `also`. Equal arguments give equal operators. Raises InputError for
    another target.
    """
    published = read_published()
    if target.name not in published.boards:
        raise InputError(f"device '{target}' is not modelled; modelled are {', '.join(sorted(published.boards))}")
    board = published.boards[target.name]
    roofline = fit(published, (figure for figure in published.figures if figure.fitted))
    detectors = [*published_carriers(), *landmark_carriers(space, _LANDMARK_CARRIERS), *also]
    operators = space.operators(input_size).union(
        *(load_space(name).operators(input_size) for name in _ALSO_COVERED),
        *(inventory(detector, input_size) for detector in detectors),
    )
    times = {}
    for operator in operators:
        sizes = (input_size, *other_inputs)
        time_ns, *other_ns = (round(roofline.operator_ns(moved(operator, input_size, size), board)) for size in sizes)
        times[operator] = OperatorTime(0, time_ns, time_ns, 0, stable=True, other_ns=tuple(other_ns))
    return LatencyTable(
        target=target.name,
        provenance="modelled",
        date=date.today().isoformat(),
        space=space.name,
        input_size=input_size,
        fingerprint=_fingerprint(board, target),
        calibration=_calibration(published, board, roofline),
        operators=times,
        seconds=0.0,
        other_inputs=other_inputs,
    )


def _calibration(published: Published, board: Board, roofline: Roofline) -> Calibration:
    """No scale of its own; its errors are those on networks that the fit had not seen, on this board."""
    ratios = np.array(list(held_out_ratios(published, board.name).values()))
    errors_percent = 100 * np.abs(1 / ratios - 1)
    smallest = min(sum(o.macs for o in network_operators(figure.network)) for figure in published.figures)
    note = (
        f"modelled, not measured: roofline at {roofline.compute_share:.2f} of peak compute, {roofline.bandwidth_share:.2f} "
        f"of peak bandwidth, {roofline.launch_cycles:.0f} cycles an operator, fitted to published TensorRT fp16 "
        f"latencies; errors and interval are those on published networks that the fit had not seen, the smallest of "
        f"{smallest / 1e9:.1f} billion multiply-accumulates: smaller ones are beyond what was published"
    )
    return Calibration(
        scale=1.0,
        offset_ns=0.0,
        low_ratio=min(1.0, float(ratios.min())),
        high_ratio=max(1.0, float(ratios.max())),
        error_percent=float(errors_percent.mean()),
        worst_percent=float(errors_percent.max()),
        networks=len(ratios),
        note=note,
    ).rounded()


def _fingerprint(board: Board, target: Target) -> Fingerprint:
    clocks = f"GPU {board.clock_hz / 1e6:.0f} MHz, memory {board.bandwidth_bytes_s / 1e9:g} GB/s"
    return Fingerprint(
        cpu=board.name,
        instruction_sets=("sm_87",),
        cores=board.multiprocessors,
        governor=f"{board.power_mode}: {clocks}",
        operating_system="Linux aarch64",
        runtime=target.runtime,
        runtime_version="of the published figures (8.5 to 10.x)",
        precision=target.precision,
        threads=target.threads,
    )
