"""AdamW with weight decay on matrices only.

Decoupled weight decay: Loshchilov & Hutter 2017, arXiv:1711.05101, algorithm 2. Norm scales, biases and other vectors
are not decayed: pulling a scale towards zero would fight what it is for.
"""

import torch
from torch import nn

from config.train_config import TrainConfig


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices (with decay) and vectors (without), each tensor once, in the model's order."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """torch's fused AdamW: one kernel for all tensors instead of a dozen for each."""
    groups = [group for group in parameter_groups(model, config.weight_decay) if group["params"]]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)
