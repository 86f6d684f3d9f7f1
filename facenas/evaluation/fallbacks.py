"""Which layers fell back to another precision than their weights have in the file: 0 where the runtime is not known for it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from facenas.devices.target import Target
from facenas.evaluation.gates import Gate
from facenas.exporters.artefact import Description
from facenas.exporters.formats import format_of
from facenas.graph import build_graph
from facenas.operators import Operator
from facenas.runtimes.compiled_model import CompiledModel
from facenas.runtimes.runtime import runtime_of

FALLBACKS = "fallbacks"
_NAMED = 3


def fallback_gates(artefact: Path, description: Description, model: CompiledModel, target: Target) -> tuple[Gate, ...]:
    """The gate of what `target` really computes of a file; none where its runtime does not tell."""
    computed = model.computed_in()
    if computed is None:
        return ()
    graph = build_graph(description.detector, description.input_size)
    operators = {layer.name: layer.operator for layer in graph.layers}
    return (fallback_gate(format_of(artefact).precisions(artefact), computed, operators, target),)


def fallback_gate(
    promised: Mapping[str, str], computed: Mapping[str, str], operators: Mapping[str, Operator], target: Target
) -> Gate:
    """Of the layers that both name; those that the runtime is known to compute otherwise are told and do not count."""
    layers = [layer for layer in promised if layer in computed]
    fallen = [layer for layer in layers if computed[layer] != promised[layer]]
    known = runtime_of(target).falls_back
    told = [layer for layer in fallen if promised[layer] in known and known[promised[layer]](operators[layer])]
    odd = [layer for layer in fallen if layer not in told]
    kinds = Counter(computed[layer] for layer in layers)
    note = f"layers in another precision than the file's; {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}"
    if told:
        note += f", {len(told)} of them as {target.runtime} computes their kind"
    if odd:
        named = ", ".join(f"{layer} in {computed[layer]}" for layer in odd[:_NAMED])
        note += f": {named}{' ...' if len(odd) > _NAMED else ''}"
    return Gate(FALLBACKS, not odd, float(len(odd)), 0.0, note)
