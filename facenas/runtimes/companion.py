"""The companion: one fixed network that runs beside whatever is timed, and tells the pace of the machine at that moment.

Other tenants of a processor share its caches, its memory and its clock: for tenths of a second to minutes everything takes
1.1 to 1.6 times as long, and no quantile of the runs takes that out. A network of the same runtime slows with the others
(correlation .9; of an interpreter with plain arithmetic .6). So what is measured counts where the companion beside it took
no longer than `facenas.quiet.QUIET` times the least that it ever took. Dividing by its time instead was tried and is no
better: networks whose weights fall out of a cache that others fill slow by more than it does.

Between two sessions the companion tells whether the machine as a whole has become slower or quicker meanwhile: a table keeps
what it usually took beside its visits, and a file that is measured later is held against the table at the table's pace,

    latency at the table's pace = measured * (companion then / companion now)
"""

from collections.abc import Sequence
from statistics import median

from facenas.architecture import parse_architecture
from facenas.devices.target import Target
from facenas.errors import InputError
from facenas.quiet import QUIET
from facenas.runtimes.compiled_model import CompiledModel
from facenas.units import Size

COMPANION = (
    "SuperConvK3BNRELU(3,8,2,1)SuperConvK3BNRELU(8,24,2,1)SuperResK3K3(24,32,2,32,1)SuperResK3K3(32,48,2,48,1)"
    "SuperResK3K3(48,96,2,32,1)PAFPN(16)HeadDW(48,2)"
)
COMPANION_INPUT = Size(320, 256)
_RUNS = 2


def usual_ns(taken_ns: Sequence[int]) -> int:
    """What the companion usually takes on the quiet machine: the median of those within `QUIET` of the least; 0 of none."""
    quiet = [each for each in taken_ns if each <= QUIET * min(taken_ns)]
    return round(median(quiet)) if quiet else 0


class Companion:
    """The companion, compiled for a target."""

    def __init__(self, model: CompiledModel) -> None:
        self._model = model

    def take(self) -> int:
        """Nanoseconds that it takes now: the least of two runs that follow one which is not counted."""
        return int(self._model.time(_RUNS).min())


def companion_of(target: Target) -> Companion | None:
    """The companion for a target that runs here; None where its runtime estimates or refuses the network."""
    from facenas.exporters.onnx_graph import build_onnx, random_weights
    from facenas.graph import build_graph
    from facenas.runtimes.runtime import load_model, runtime_of

    if runtime_of(target).estimates:
        return None
    graph = build_graph(parse_architecture(COMPANION), COMPANION_INPUT)
    try:
        return Companion(
            load_model(build_onnx(graph, random_weights(graph)).SerializeToString(), target, timing_only=True)
        )
    except InputError:
        return None
