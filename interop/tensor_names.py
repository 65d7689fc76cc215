"""Tensor names in both worlds: a family writes one table, and import and export both follow from it.

    Names(
        prefix="model.", block="layers.{n}.",
        model={"token_embedding": "embed_tokens", "final_norm": "norm"},
        parts={
            "attention_norm": "input_layernorm",
            "attention.qkv_proj": joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            ("mlp.gate_proj", "mlp.up_proj"): "mlp.gate_up_proj",
            "mlp.experts.{e}.down_proj": "mlp.experts.{e}.w2",
        },
    )

On the left stand our names, on the right theirs. A line names a module and means its weight and its bias, whichever the
model has; a line that the model has no tensors for is not used. A plain word on the right is the same tensor, two words
on the left are packed into one of theirs, and `joined`, `transposed` and `by_head` say how else the numbers lie.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from config.model_config import ModelConfig
from interop.layouts import Joined, Layout, Packed, PackedByHead, Same, ShorterBy, Stacked, Transposed


@dataclass(frozen=True)
class Place:
    """Where a module of ours is in their file, and how it lies there."""

    names: tuple[str, ...]
    layout: Layout


def joined(*names: str) -> Place:
    """Ours is all of these, one under the other."""
    return Place(names, Joined())


def transposed(name: str) -> Place:
    """Theirs is [in out]."""
    return Place((name,), Transposed())


def by_head(name: str) -> Place:
    """Theirs is packed kv head by kv head."""
    return Place((name,), PackedByHead())


def without_first_rows(n_rows: int, name: str) -> Place:
    """Theirs has so many rows more in front, which nobody reads."""
    return Place((name,), ShorterBy(n_rows))


def stacked(name: str) -> Place:
    """Theirs is all experts in one tensor, [expert in out]."""
    return Place((name,), Stacked(1))


def stacked_in_turn(name: str) -> Place:
    """Theirs is all experts in one tensor, with the columns of several matrices of ours in turn: g u g u …"""
    return Place((name,), Stacked(2))


Table = Mapping[Any, str | Place]  # keys are strings, and tuples of them (Mapping would not take either)


@dataclass(frozen=True)
class Link:
    """Some tensors of ours that are the same numbers as some of theirs."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    layout: Layout


@dataclass(frozen=True, kw_only=True)
class Names:
    """The table of one family."""

    prefix: str
    """Before everything but the head; some older files are written without it."""
    model: Table
    block: str
    """Before everything in block n."""
    parts: Table
    head: Table = field(default_factory=lambda: {"unembedding": "lm_head"})
    ignored: str = r"(?!)"
    """Matches tensors that carry nothing that was learned, such as masks in files of old versions."""

    def with_parts(self, parts: Table, without: Collection[str] = ()) -> "Names":
        """The same table with some lines of the blocks exchanged or added, and some gone."""
        kept = {line: place for line, place in self.parts.items() if line not in without}
        return replace(self, parts={**kept, **parts})

    @property
    def head_names(self) -> frozenset[str]:
        """Their tensors of the head, which a model with a tied head may have in its file all the same."""
        return frozenset(f"{place}.weight" for place in self.head.values() if isinstance(place, str))

    def links(self, ours: Iterable[str]) -> list[Link]:
        """How the tensors of a model are linked to those of a file; each of `ours` is in exactly one link.

        Raises:
            KeyError: the table has no line for a tensor of ours: the family does not have this part.
        """
        found: dict[tuple[str, ...], Link] = {}
        for name in ours:
            link = self._link(name)
            found[link.ours] = link
        return list(found.values())

    def _link(self, name: str) -> Link:
        inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        if inside:
            return _find(self.parts, inside[2], f"blocks.{inside[1]}.", self.prefix + self.block.format(n=inside[1]))
        if name.startswith("unembedding"):
            return _find(self.head, name, "", "")
        return _find(self.model, name, "", self.prefix)


def _find(table: Table, name: str, our_prefix: str, their_prefix: str) -> Link:
    """The line of `name`, which may be a module's weight or bias or a tensor of its own, as a link."""
    expert = re.search(r"\bexperts\.(\d+)\.", name)
    number = expert[1] if expert else ""
    general = name.replace(f"experts.{number}.", "experts.{e}.") if expert else name
    module, dot, leaf = general.rpartition(".")
    for wanted, ending in ((general, ""), (module, dot + leaf)):
        for line, value in table.items():
            together = (line,) if isinstance(line, str) else line
            if wanted in together:
                place = _as_place(value, len(together))
                return Link(
                    tuple(_fill(our_prefix + part + ending, number) for part in together),
                    tuple(_fill(their_prefix + part + ending, number) for part in place.names),
                    place.layout,
                )
    raise KeyError(f"no line for {name}")


def _fill(name: str, expert: str) -> str:
    return name.replace("{e}", expert)


def _as_place(value: str | Place, n_ours: int) -> Place:
    if isinstance(value, Place):
        return value
    return Place((value,), Same() if n_ours == 1 else Packed(n_ours))


def to_theirs(links: Iterable[Link], ours: Mapping[str, Tensor], config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """Their tensors by name, link by link."""
    for link in links:
        tensors = link.layout.to_theirs([ours[name] for name in link.ours], config)
        yield from zip(link.theirs, tensors, strict=True)


def to_ours(links: Iterable[Link], theirs: Mapping[str, Tensor], config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    """Our tensors by name, link by link: `theirs` is asked for a tensor when its turn comes."""
    for link in links:
        tensors = link.layout.to_ours([theirs[name] for name in link.theirs], config)
        yield from zip(link.ours, tensors, strict=True)
