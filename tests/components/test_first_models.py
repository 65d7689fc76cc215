"""Runs of the first versions of this program open as they were: config.json as it stood then, and the same numbers.

The logits were computed by the first model there was, from these configurations: before patterns, experts and most
switches existed. A default that is not what was there before its field, another name or another order of parameters
(initial values are drawn in that order), or another formula changes them.
"""

from typing import Any

import pytest
import torch

from components.model import build_model
from config.catalog import IMPLEMENTATIONS
from config.run_config import RunConfig

DATA = {"text_file": "training.txt", "data_size": "1.0", "encoding": "utf-8", "val_fraction": 0.1,
        "tokenizer_type": "character", "vocab_size": 1024}  # fmt: skip
TRAINING = {
    "max_steps": 2000, "epochs": None, "batch_size": 12, "grad_accumulation": 1, "lr": 0.001, "min_lr": 0.0001,
    "warmup_steps": 100, "schedule": "cosine", "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.99, "grad_clip": 1.0,
    "eval_interval": 100, "eval_iters": 20, "save_interval": 500, "sample_prompt": "", "sample_tokens": 120,
    "seed": 1337, "device": "auto", "dtype": "auto", "compile": False,
}  # fmt: skip
SIZES = {"d_model": 24, "n_layers": 2, "n_heads": 3, "n_kv_heads": None, "d_head": None, "d_mlp": 40, "n_ctx": 16,
         "d_vocab": None}  # fmt: skip
OTHERS = {"norm_placement": "pre", "norm_eps": 1e-05, "rope_theta": 10000.0, "gelu_form": "tanh", "dropout": 0.0,
          "init_std": 0.3, "scale_residual_init": True}  # fmt: skip
NO_BIAS = {"qkv_bias": False, "attention_out_bias": False, "mlp_bias": False}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {"position": "learned", "norm": "layernorm", "mlp": "gelu", "tie_embeddings": True, "norm_bias": True,
             "qkv_bias": True, "attention_out_bias": True, "mlp_bias": True},
    "llama": {"position": "rope", "norm": "rmsnorm", "mlp": "swiglu", "tie_embeddings": False, "norm_bias": False,
              **NO_BIAS},
    "olmo": {"position": "alibi", "norm": "layernorm", "mlp": "swiglu", "tie_embeddings": False, "norm_bias": True,
             **NO_BIAS},
}  # fmt: skip
FIRST_LOGITS = {  # of six of thirteen words, behind the last token, with the seed 1
    "gpt2": [0.05665, -2.72274, -0.69399, -0.70167, -2.84938, 2.98789],
    "llama": [0.70056, 1.10505, -3.77074, 0.41511, -1.10809, -0.21274],
    "olmo": [0.42549, 0.90840, -4.35135, 0.47741, 0.25103, 0.61192],
}
TENSORS = {"gpt2": 28, "llama": 17, "olmo": 22}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("preset", MODELS)
def test_a_run_of_the_first_version_is_the_model_that_it_was(preset: str, implementation: str) -> None:
    written = {"format": 1, "preset": preset, "size": "tiny", "model": {**SIZES, **OTHERS, **MODELS[preset]},
               "implementation": implementation, "data": DATA, "training": TRAINING}  # fmt: skip
    run = RunConfig.from_dict(written)
    model = build_model(run.with_vocabulary(13), run.implementation, seed=1).eval()
    assert len(model.state_dict()) == TENSORS[preset]
    with torch.no_grad():
        logits = model(torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]]))[0, -1, :6]
    torch.testing.assert_close(logits, torch.tensor(FIRST_LOGITS[preset]), atol=1e-4, rtol=0)
