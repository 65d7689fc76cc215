"""AdamW (Kingma & Ba 2014, arXiv:1412.6980; decay apart from the gradient: Loshchilov & Hutter 2017, arXiv:1711.05101).

    m ← β₁ m + (1 − β₁) g          v ← β₂ v + (1 − β₂) g²
    θ ← θ − η λ θ − η · m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + ε)

θ is a weight, g its gradient, η the learning rate, t the number of the step, from 1. m averages the last gradients, v
their squares; both begin at 0, and the divisions by 1 − βᵗ make up for that. So the first step has length η for every
weight, and later ones are short where the last gradients contradict each other.

The decay λ acts on matrices only. A norm's scale or a bias has no reason to be small, and there are few of them.
"""

from dataclasses import dataclass, field

import numpy as np

from learn.reference.arrays import Weights


def clip(gradients: Weights, longest: float) -> float:
    """Shorten all gradients together, in place, to a norm of at most `longest`; returns the norm before."""
    norm = float(np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients.values())))
    if norm > longest:
        for g in gradients.values():
            g *= longest / norm
    return norm


@dataclass
class AdamW:
    """Two running averages for each weight, and how many steps went into them."""

    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1
    t: int = 0
    m: Weights = field(default_factory=dict)
    v: Weights = field(default_factory=dict)

    def step(self, weights: Weights, gradients: Weights, learning_rate: float) -> None:
        """One update of all weights, in place."""
        self.t += 1
        for name, theta in weights.items():
            g = gradients[name]
            self.m[name] = self.beta1 * self.m.get(name, 0) + (1 - self.beta1) * g
            self.v[name] = self.beta2 * self.v.get(name, 0) + (1 - self.beta2) * g**2
            m_hat = self.m[name] / (1 - self.beta1**self.t)
            v_hat = self.v[name] / (1 - self.beta2**self.t)
            decay = self.weight_decay if theta.ndim >= 2 else 0.0
            theta -= learning_rate * (decay * theta + m_hat / (np.sqrt(v_hat) + self.eps))
