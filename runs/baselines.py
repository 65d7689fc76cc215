"""Losses to beat: what simple models reach on a run's validation text, and which of them the run has overtaken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from config.errors import RunError
from runs.files import read_json
from runs.folder import RunFolder

TITLES = {"ngram_1": "unigram", "ngram_2": "bigram", "ngram_3": "trigram"}


def read_baselines(run: RunFolder) -> dict[str, float]:
    """Losses in nats per token by name (`ngram_4_nats`, `gzip_nats` …); empty until the worker has them."""
    try:
        values: Any = read_json(run.baselines_path)
    except RunError:
        return {}
    known = values.items() if isinstance(values, dict) else ()
    return {name: value for name, value in known if isinstance(value, float) and name.endswith("_nats")}


def baseline_title(key: str) -> str:
    """`ngram_2_nats` as people say it: bigram."""
    name = key.removesuffix("_nats")
    return TITLES.get(name) or (f"{name.removeprefix('ngram_')}-gram" if name.startswith("ngram_") else name)


def overtaken(baselines: Mapping[str, float], evaluations: Iterable[Mapping[str, float]]) -> tuple[str, int] | None:
    """The hardest baseline that the validation loss went below, and the step at which it first did.

    Step 0 does not count: an untrained model has overtaken nothing, whatever its first weights happen to score.
    """
    rows = [row for row in evaluations if row.get("step", 0) > 0]
    for name, nats in sorted(baselines.items(), key=lambda item: item[1]):
        for row in rows:
            if row["val_loss_nats"] < nats:
                return name, int(row.get("step", 0))
    return None


def overtaken_sentence(baselines: Mapping[str, float], evaluations: Iterable[Mapping[str, float]]) -> str:
    """`overtaken` in words: has overtaken a 4-gram at step 980; empty where it has overtaken nothing."""
    found = overtaken(baselines, evaluations)
    if found is None:
        return ""
    name, step = found
    title = {"uniform_nats": "uniform guessing"}.get(name, baseline_title(name))
    article = "a " if name.startswith("ngram_") else ""
    return f"has overtaken {article}{title} at step {step:,}"
