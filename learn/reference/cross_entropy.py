"""The loss: how surprised the model is by the tokens that really came, in nats, on average.

    L = −1/N Σ log p[target]          p = softmax(logits)

Backward. log p_t = z_t − log Σ exp z, so ∂L/∂z_v = (p_v − 1[v = target]) / N: push the right token up by what it lacks,
and every other one down by what it has. A model that is right and sure gets a gradient of zero.

Shapes: logits [batch pos d_vocab], targets [batch pos] -> one number; N = batch · pos.
"""

import numpy as np

from learn.reference.arrays import Array, softmax


def forward(logits: Array, targets: Array) -> tuple[float, tuple[Array, Array]]:
    """The mean loss in nats per token, and what backward needs."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=-1))
    log_p = np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0] - log_total
    return float(-log_p.mean()), (logits, targets)


def backward(saved: tuple[Array, Array]) -> Array:
    """∂L/∂logits."""
    logits, targets = saved
    wanted = np.zeros_like(logits)
    np.put_along_axis(wanted, targets[..., None], 1, axis=-1)
    return (softmax(logits) - wanted) / targets.size
