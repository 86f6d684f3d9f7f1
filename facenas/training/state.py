"""All that a training needs to go on, `last.safetensors`: weights, their running average, the optimiser's moments, the step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facenas.architecture import Architecture
from facenas.checkpoint import Checkpoint, TrainedSpace, load_checkpoint, save_checkpoint
from facenas.errors import InputError
from facenas.training.optimization import floats_of
from facenas.training.recipe import Recipe
from facenas.typed_json import read_as

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Reached:
    """How far a training is. `photos`: how many it trains on, `labels`: the SHA-256 of their labels (None before it began);
    `init`: where its weights began; `cycle_began`: how good the best weights were when the cycle began that is under way,
    `settled`: whether a cycle that brought nothing has ended it."""

    step: int
    photos: int | None
    best: Mapping[str, float | None]
    init: Mapping[str, Any] | None
    labels: str | None = None
    cycle_began: float | None = None
    settled: bool = False


def state_arrays(
    network: nn.Module, average: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> dict[str, npt.NDArray[Any]]:
    """All tensors of a training by name: `network/`, `average/` and `optimizer/<parameter>/`."""
    tensors = {f"network/{name}": tensor for name, tensor in floats_of(network).items()}
    tensors |= {f"average/{name}": tensor for name, tensor in average.items()}
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    for parameter, state in optimizer.state.items():
        tensors |= {
            f"optimizer/{names[id(parameter)]}/{key}": value.detach()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }
    return {name: tensor.cpu().contiguous().numpy() for name, tensor in tensors.items()}


def restore_arrays(
    arrays: Arrays, network: nn.Module, average: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Put the tensors of `state_arrays` back in their places."""
    device = next(network.parameters()).device
    tensors = {name: torch.from_numpy(np.array(array)).to(device) for name, array in arrays.items()}
    with torch.no_grad():
        for name, tensor in floats_of(network).items():
            tensor.copy_(tensors[f"network/{name}"])
            average[name].copy_(tensors[f"average/{name}"])
    for name, parameter in network.named_parameters():
        prefix = f"optimizer/{name}/"
        moments = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if "step" in moments and not optimizer.defaults.get("fused"):
            moments["step"] = moments["step"].cpu()  # only a fused optimiser counts on the device
        # A fused optimiser insists on moments that lie in memory as their parameter does.
        optimizer.state[parameter] = {
            key: value if key == "step" else torch.empty_like(parameter, requires_grad=False).copy_(value)
            for key, value in moments.items()
        }


def begin_from(
    best: Checkpoint, network: nn.Module, average: Mapping[str, Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Put the weights of a checkpoint of the same network in place, as weights and as their average; the optimiser forgets."""
    with torch.no_grad():
        for name, tensor in floats_of(network).items():
            value = torch.from_numpy(np.array(best.tensors[name]))
            tensor.copy_(value)
            average[name].copy_(value)
    optimizer.state.clear()


def save_state(path: Path, state: Checkpoint, recipe: Recipe, data_name: str, reached: Reached) -> None:
    """Write the state atomically: a checkpoint of all arrays, without an origin yet."""
    origin = {**asdict(reached), "recipe": asdict(recipe), "data": data_name}
    save_checkpoint(path, replace(state, origin=origin))


def load_state(
    path: Path, detector: Architecture, space: TrainedSpace | None, recipe: Recipe, network: nn.Module
) -> tuple[Reached, Arrays]:
    """Read a state to go on from. Raises InputError where it is of another network, space or recipe, or no state."""
    state = load_checkpoint(path, supernet=True)
    if _digest(state.space) != _digest(space):
        held, wanted = (f"space '{each.name}'" if each else "a single detector" for each in (state.space, space))
        raise InputError(f"{path} was trained on {held}, with other choices than {wanted}; choose another --out")
    if state.detector != detector:
        raise InputError(f"{path} holds '{state.detector}', not '{detector}'; choose another --out")
    needed = {f"{kind}/{name}" for kind in ("network", "average") for name in floats_of(network)}
    if not needed <= set(state.tensors):
        raise InputError(f"{path} holds no state of a training; remove it or choose another --out")
    try:
        changed = recipe.differences(read_as(dict, state.origin["recipe"], f"{path}, recipe"))
        reached = read_as(Reached, dict(state.origin), str(path))
    except KeyError as error:
        raise InputError(f"{path} holds no state of a training; remove it or choose another --out") from error
    if changed:
        raise InputError(f"{path} was trained with another {', '.join(changed)}; {_instead(changed, path)}")
    return reached, state.tensors


def _instead(changed: Sequence[str], path: Path) -> str:
    """What to do where a training is to go on in another way than it began."""
    if "epochs" in changed:  # its learning rate has fallen, or will, by the end of those that it began with
        return (
            "its learning rate falls to the end of those that it began with: let it end, then train on from its best with"
            f" --init {path.parent} --epochs N --out ANOTHER"
        )
    return "choose another --out or the same"


def _digest(space: TrainedSpace | None) -> str:
    return "" if space is None else space.digest
