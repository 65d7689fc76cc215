"""The source of a component, cut out of its file by its syntax tree: nothing is imported, so nothing is loaded."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from config.catalog import Entry, entry
from config.model_config import ModelConfig

ROOT = Path(__file__).parent.parent
SUFFIXES = {"einops": "Einops", "torch": "Torch", "fused": "Fused"}


@dataclass(frozen=True)
class Source:
    """One component as it is written."""

    about: Entry
    explanation: str  # the file's docstring: formula, paper, shapes
    base: str  # the class that owns the parameters
    implementations: dict[str, str]  # the same computation, by implementation


def chosen_components(config: ModelConfig) -> dict[str, str]:
    """The component in every slot, in the order in which a token meets them; no entry where there is none."""
    chosen = {
        "embedding": "token",
        "position": config.position,
        "block": "transformer_block",
        "norm": config.norm,
        "attention": config.attention,
        "mlp": config.mlp,
        "experts": "mixture" if any(config.expert_layers) else "none",
        "routing": "top_k" if any(config.expert_layers) else "none",
        "unembedding": "unembedding",
    }
    return {slot: name for slot, name in chosen.items() if name != "none"}


def read_source(slot: str, name: str) -> Source:
    """The source of one component of the catalogue."""
    about = entry(slot, name)
    path = ROOT / about.file
    explanation, classes = _parse(path, path.stat().st_mtime_ns)
    return Source(
        about,
        explanation,
        classes.get(about.class_name, ""),
        {kind: classes.get(about.class_name + suffix, "") for kind, suffix in SUFFIXES.items()},
    )


@cache
def _parse(path: Path, modified: int) -> tuple[str, dict[str, str]]:
    """A file's docstring, and its classes by name as they are written; read again when the file has changed."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    classes = {
        node.name: "\n".join(lines[min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1 : node.end_lineno])
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    return ast.get_docstring(tree) or "", classes
