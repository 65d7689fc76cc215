"""Tensor names in both worlds: a family writes one table, and import and export both follow from it.

    Names(
        prefix="model.", block="layers.{n}.",
        model={"token_embedding": "embed_tokens", "final_norm": "norm"},
        parts={
            "attention_norm": "input_layernorm",
            "attention.qkv_proj": joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
            ("mlp.gate_proj", "mlp.up_proj"): "mlp.gate_up_proj",
            "mlp.experts.{e}.down_proj": "mlp.experts.{e}.w2",
            ("mlp.experts.*.down_proj.bias",): stacked("mlp.experts.down_bias"),
        },
    )

On the left stand our names, on the right theirs. A line names a module and means its weight and its bias, whichever the
model has, or a tensor by its whole name; {e} is any expert, * all of them; a line that the model has no tensors for is
not used. A plain word on the right is the same tensor, two words
on the left are packed into one of theirs, and `joined`, `transposed` and `by_head` say how else the numbers lie.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from config.model_config import ModelConfig
from interop.layouts import (
    HeadRows,
    Joined,
    Layout,
    Packed,
    PackedByHead,
    Same,
    ShorterBy,
    Stacked,
    StackedRows,
    Transposed,
)


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


def by_head_rows(name: str) -> Place:
    """Theirs has a row for each head, ours is the rows one behind the other."""
    return Place((name,), HeadRows())


def without_first_rows(n_rows: int, name: str) -> Place:
    """Theirs has so many rows more in front, which nobody reads."""
    return Place((name,), ShorterBy(n_rows))


def stacked(name: str) -> Place:
    """Theirs is all experts in one tensor, [expert in out]."""
    return Place((name,), Stacked(1))


def stacked_rows(name: str, n_parts: int) -> Place:
    """Theirs is all experts in one tensor [expert out in]; so many matrices of ours lie one under the other in it."""
    return Place((name,), StackedRows(n_parts))


def stacked_in_turn(name: str) -> Place:
    """Theirs is all experts in one tensor, with the columns of several matrices of ours in turn: g u g u …"""
    return Place((name,), Stacked(2))


EXPERT = re.compile(r"\bexperts\.(\d+)\.")
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

    def ignoring(self, pattern: str) -> "Names":
        """The same table, with further tensors that are not read."""
        return replace(self, ignored=f"{self.ignored}|{pattern}")

    @property
    def head_names(self) -> frozenset[str]:
        """Their tensors of the head, which a model with a tied head may have in its file all the same."""
        return frozenset(f"{place}.weight" for place in self.head.values() if isinstance(place, str))

    def links(self, ours: Iterable[str]) -> list[Link]:
        """How the tensors of a model are linked to those of a file; each of `ours` is in exactly one link.

        Raises:
            KeyError: the table has no line for a tensor of ours: the family does not have this part.
        """
        names = list(ours)
        n_experts = 1 + max((int(found[1]) for name in names if (found := EXPERT.search(name))), default=-1)
        links: dict[tuple[str, ...], Link] = {}
        for name in names:
            link = self._link(name, n_experts)
            links[link.ours] = link
        return list(links.values())

    def _link(self, name: str, n_experts: int) -> Link:
        inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        if inside:
            before = f"blocks.{inside[1]}.", self.prefix + self.block.format(n=inside[1])
            return _find(self.parts, inside[2], *before, n_experts)
        if name.startswith("unembedding"):
            return _find(self.head, name, "", "", n_experts)
        return _find(self.model, name, "", self.prefix, n_experts)


def _find(table: Table, name: str, our_prefix: str, their_prefix: str, n_experts: int) -> Link:
    """The line of `name`, which may be a module's weight or bias or a tensor of its own, as a link."""
    expert = EXPERT.search(name)
    number = expert[1] if expert else ""
    general = EXPERT.sub("experts.{e}.", name)
    module, dot, leaf = general.rpartition(".")
    for wanted, ending in ((general, ""), (module, dot + leaf), (EXPERT.sub("experts.*.", name), "")):
        for line, value in table.items():
            together = (line,) if isinstance(line, str) else line
            if wanted in together:
                place = _as_place(value, len(together))
                ours = [our_prefix + part.replace("{e}", number) + ending for part in together]
                theirs = [their_prefix + part.replace("{e}", number) + ending for part in place.names]
                if "*" in wanted:  # the tensors of all experts together
                    ours = [part.replace("*", str(other)) for part in ours for other in range(n_experts)]
                return Link(tuple(ours), tuple(theirs), place.layout)
    raise KeyError(f"no line for {name}")


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
