"""The yardstick of benchmarks/train_speed.py: a GPT-2 and its training loop, plain, as a good small repository has it.

Standard torch throughout: nn.Linear, nn.LayerNorm, exact GELU, scaled_dot_product_attention, tied embeddings, without
biases; a batch cut from the memory map slice by slice; AdamW over two groups as torch makes it on this device;
clipping. What nanoGPT's train.py does in a step, in its order, without its logging.
"""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and MLP, pre-norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        self.gelu = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """[batch pos width] -> the same shape."""
        batch, pos, width = x.shape
        parts = self.qkv(self.norm_1(x)).split(width, dim=2)
        q, k, v = (part.view(batch, pos, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).contiguous().view(batch, pos, width))
        return x + self.down(self.gelu(self.up(self.norm_2(x))))


class PlainGPT(nn.Module):
    """Tokens and targets in, loss out."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, context: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                scale = math.sqrt(2 * layers) if name.endswith(("out.weight", "down.weight")) else 1.0
                nn.init.normal_(parameter, std=0.02 / scale)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats per token."""
        x = self.tokens(inputs) + self.positions(torch.arange(inputs.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


class PlainLoop:
    """A model, its optimizer and the file of its tokens."""

    def __init__(self, file: Path, vocabulary: int, width: int, layers: int, heads: int, context: int, batch: int):
        torch.manual_seed(1337)
        self.file, self.context, self.batch = file, context, batch
        self.model: nn.Module = PlainGPT(vocabulary, width, layers, heads, context)
        matrices = [p for p in self.model.parameters() if p.dim() >= 2]
        vectors = [p for p in self.model.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
        self.inputs, self.targets = self.draw()

    def draw(self) -> tuple[Tensor, Tensor]:
        """The next batch; the map is opened anew each time, because a long-lived one keeps what it touched."""
        data = np.memmap(self.file, dtype=np.uint16, mode="r")
        starts = torch.randint(len(data) - self.context, (self.batch,))
        inputs = [torch.from_numpy(data[i : i + self.context].astype(np.int64)) for i in starts]
        targets = [torch.from_numpy(data[i + 1 : i + 1 + self.context].astype(np.int64)) for i in starts]
        return torch.stack(inputs), torch.stack(targets)

    def step(self) -> float:
        """One step; its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-3
        loss = self.model(self.inputs, self.targets)
        self.inputs, self.targets = self.draw()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def steps(self, count: int) -> None:
        """So many steps."""
        for _ in range(count):
            self.step()
