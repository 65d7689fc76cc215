"""How config.json says which layers have experts: lists, steps and first layers, as one pattern of ours.

qwen        (layer + 1) % decoder_sparse_step == 0 has experts, but those in mlp_only_layers have none
deepseek    the first first_k_dense_replace layers have none
"""

from dataclasses import dataclass
from typing import Any

from config.model_config import ModelConfig
from config.patterns import spread
from interop.keys import Key, Values, attempt


@dataclass(frozen=True)
class SparseSteps(Key):
    """Qwen's two keys."""

    names = ("decoder_sparse_step", "mlp_only_layers")

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        step, dense = theirs.get("decoder_sparse_step", 1), theirs.get("mlp_only_layers") or []

        def letters() -> str:
            has_experts = [layer not in dense and (layer + 1) % step == 0 for layer in range(fields["n_layers"])]
            return "".join("dm"[found] for found in has_experts)

        return {"moe_pattern": attempt(letters, "decoder_sparse_step", step)}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        letters = spread(config.moe_pattern, config.n_layers)
        dense = [layer for layer, letter in enumerate(letters) if letter == "d"]
        return {"decoder_sparse_step": 1, "mlp_only_layers": dense}


@dataclass(frozen=True)
class DenseFirst(Key):
    """DeepSeek's one key."""

    default: int

    names = ("first_k_dense_replace",)

    def read(self, theirs: Values, fields: Values) -> dict[str, Any]:
        n_dense, n_layers = theirs.get("first_k_dense_replace", self.default), fields["n_layers"]
        return {"moe_pattern": attempt(lambda: "d" * n_dense + "m" * (n_layers - n_dense), self.names[0], n_dense)}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        letters = spread(config.moe_pattern, config.n_layers)
        return {"first_k_dense_replace": len(letters) - len(letters.lstrip("d"))}
