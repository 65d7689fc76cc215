"""The Numbers panel: where the parameters, the work and the memory of a model are."""

import html
from collections.abc import Mapping

import streamlit as st

from config.model_config import ModelConfig
from config.sizes import (
    count_active_parameters,
    count_parameters,
    flops_per_token,
    kv_cache_bytes,
    parameters_by_component,
    training_memory,
)
from ui.words import count, file_size

TITLES = {
    "token_embedding": "Token embedding",
    "positional_embedding": "Learned positions",
    "attention": "Attention",
    "mlp": "MLP",
    "experts": "Experts and routers",
    "norms": "Norms",
    "unembedding": "Unembedding",
    "weights": "Weights",
    "gradients": "Gradients",
    "optimizer": "AdamW's two averages",
    "activations": "Activations",
    "runtime": "Python and torch",
}


def draw(config: ModelConfig, micro_batch: int, implementation: str, *, stale: bool = False) -> None:
    """Two tables with bars, and three single numbers; pale and with a word where the form no longer says this."""
    if stale:
        st.caption("Numbers of the last settings that went together; the form says something else now.")
    with st.container(key="numbers_stale" if stale else "numbers"):
        _draw_tables(config, micro_batch, implementation)


def _draw_tables(config: ModelConfig, micro_batch: int, implementation: str) -> None:
    memory = training_memory(config, micro_batch, implementation)
    parts = {name: getattr(memory, name) for name in ("weights", "gradients", "optimizer", "activations", "runtime")}
    left, right = st.columns(2, gap="medium")
    with left:
        st.html(table("Parameters", parameters_by_component(config), count(count_parameters(config)), count))
    with right:
        st.html(table("Memory while training", parts, file_size(memory.total), file_size))
    active = {"Parameters that one token uses": count(count_active_parameters(config))} if config.n_experts else {}
    singles = active | {
        "Work per token, forward and backward": f"{count(flops_per_token(config))}FLOP",
        "KV cache of a full context": file_size(kv_cache_bytes(config)),
        "Vocabulary": f"{config.d_vocab:,} tokens",
    }
    st.html(definitions(singles))


def table(title: str, values: Mapping[str, int], total: str, in_words: object) -> str:
    """Rows of name, amount and share, largest share as the longest bar; what is absent is left out."""
    assert callable(in_words)
    whole = max(1, sum(values.values()))
    rows = "".join(
        f"<tr><td>{html.escape(TITLES[name])}</td><td class='amount'>{in_words(value)}</td>"
        f"<td class='bar'><div style='width:{100 * value / whole:.1f}%'></div></td></tr>"
        for name, value in values.items()
        if value
    )
    head = f"<tr><th>{html.escape(title)}</th><th class='amount'>{html.escape(total)}</th><th class='bar'></th></tr>"
    return f"<table class='numbers'>{head}{rows}</table>"


def definitions(values: Mapping[str, str]) -> str:
    """Names and single numbers in a row."""
    items = "".join(f"<div>{html.escape(name)}<b>{html.escape(value)}</b></div>" for name, value in values.items())
    return f"<div class='singles'>{items}</div>"
