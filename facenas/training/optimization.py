"""What moves the weights: the optimiser, the learning rate over the steps, and the running average of the weights.

rate(step)  = peak * (step + 1) / warm-up steps                          while warming up, then
cosine        peak * (0.01 + 0.99 * (1 + cos(pi * progress)) / 2)
steps         peak * 0.1 ^ (number of step_shares that are behind)
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from facenas.training.recipe import Recipe


def create_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW or SGD with Nesterov momentum, as the recipe says."""
    parameters = list(network.parameters())
    groups = [
        # Norms, biases and scales shape no features: decaying them only costs accuracy.
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True)
    # On a GPU one kernel moves all weights; on a CPU that would change the last digits of every training that goes on.
    fused = parameters[0].is_cuda
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=fused)


def rate_factor(step: int, total: int, recipe: Recipe) -> float:
    """The learning rate of a step (counted from zero) as a share of its peak."""
    warmup = max(1, round(total * recipe.warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule == "steps":
        return float(0.1 ** sum(step >= share * total for share in recipe.step_shares))
    progress = (step - warmup) / max(1, total - warmup)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2


def floats_of(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and running statistics by name."""
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


@torch.no_grad()
def update_average(average: Mapping[str, Tensor], network: nn.Module, step: int, decay: float) -> None:
    """Move the running average towards the weights; early on quickly, so that it forgets where they began."""
    decay = min(decay, (1 + step) / (10 + step))
    update = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    update(list(average.values()), list(floats_of(network).values()), None)
