"""One token through the model with as little Python as possible: for texts that are written one at a time.

A model called for one token spends most of its time on the way to the work: modules that call modules, dropouts that
drop nothing, buffers allocated and thrown away. A plan walks the model once and keeps its matrices and a few buffers;
a step is then a straight list of operations on them. Prompts still go through the model itself, whose KV cache the plan
reads and continues.

    plan = DecodePlan.of(model, cache)     None for a model with anything the plan does not know: then call the model
    logits = plan.step(token)              [1 d_vocab], equal to the model's own up to rounding

Which models it knows is listed in generation/decode_support.py. Matrices are copied only where that pays
(generation/projections.py), so a plan is made for each text, in about a millisecond, and is never out of date in a
training. It is not shared: its buffers and its cache belong to one text. The logits of a step live in such a buffer
until the next step.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from components.kv_cache import KVCache
from components.model import Transformer
from generation.compiled import CompiledProjection
from generation.decode_parts import AttentionStep, MLPStep, Positions, Stream
from generation.decode_support import knows_model
from generation.projections import ExactProjection, Projections


class DecodePlan:
    """Everything a step needs, in the order in which it is used."""

    @staticmethod
    def of(model: nn.Module, cache: KVCache, weights: str = "float32", compiled: bool = False) -> "DecodePlan | None":
        """The plan of a model and the cache it continues, or None if the model has anything that a plan does not know.

        The cache must hold a single text without padding, in float32. `weights`: one of WEIGHTS;
        `compiled`: large matrices that stay exact go through the kernel of generation/compiled.py.

        Raises:
            ConfigError: that kernel cannot be built.
        """
        if not isinstance(model, Transformer) or not knows_model(model):
            return None
        return DecodePlan(model, cache, Projections(weights, CompiledProjection if compiled else ExactProjection))

    def __init__(self, model: Transformer, cache: KVCache, projections: Projections) -> None:
        self.projections = projections
        parts: Any = model  # nn.Module's attributes have no type
        self.cache = cache
        with torch.inference_mode():
            self.embedding = parts.token_embedding.weight.detach()
            self.stream = Stream(model.config.d_model, self.embedding)
            self.positions = Positions(parts.positional_embedding)
            self.is_pre_norm = model.config.norm_placement == "pre"
            self.layers = [
                (
                    self.stream.normalizer(block.attention_norm),
                    AttentionStep(block.attention, self.positions, cache, index, projections),
                    self.stream.normalizer(block.mlp_norm),
                    MLPStep(model.config, block.mlp, projections),
                )
                for index, block in enumerate(parts.blocks)
            ]
            self.final_norm = self.stream.normalizer(parts.final_norm)
            self.unembedding = projections.of([model.unembedding_matrix], [None])

    @torch.inference_mode()
    def step(self, token: int) -> Float[Tensor, "1 d_vocab"]:
        """Append one token to the cache; logits for the next one.

        Raises:
            ValueError: the cache is full.
        """
        self.cache.check_room(1, 1)
        place, x = self.cache.length, self.stream.x
        if self.positions.embedding is None:
            x.copy_(self.embedding[token])
        else:
            torch.add(self.embedding[token], self.positions.embedding[place], out=x[0])
        turn = tuple(table[place] for table in self.positions.turns)
        for attention_norm, attention, mlp_norm, mlp in self.layers:
            if self.is_pre_norm:
                attention(attention_norm(), x, place, turn)
                mlp(mlp_norm(), x)
            else:
                attention(x, x, place, turn)
                x.copy_(attention_norm())
                mlp(x, x)
                x.copy_(mlp_norm())
        self.cache.advance(1)
        return self.unembedding(self.final_norm())
