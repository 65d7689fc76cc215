"""Settings and their changes as a person says them: twice the layers, ALiBi instead of RoPE, tie embeddings on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from config.catalog import CATALOG
from config.fields import FieldInfo
from runs.names import clean_name

SLOTS = {entry.slot for entry in CATALOG}
# How often one number is the other, in words that follow "…": twice the layers, half the layers.
RATIOS = {2: "twice", 3: "three times", 4: "four times", 1 / 2: "half", 1 / 3: "a third of", 1 / 4: "a quarter of"}
# Numbers that mean nothing as numbers.
UNMEASURED = ("seed",)


def change_in_words(info: FieldInfo, now: Any, before: Any) -> str:
    """One change within a sentence: twice the layers; ALiBi instead of RoPE; tie embeddings on."""
    title = in_running_text(info.title)
    if isinstance(now, bool):
        return f"{title} {'on' if now else 'off'}"
    new, old = value_in_words(info, now), value_in_words(info, before)
    if info.name in SLOTS:
        names = _component_names(info.name)
        return f"{names.get(new, f'no {title}')} instead of {names.get(old, f'no {title}')}"
    if before is None:
        return f"{title} {new}"
    numbers = type(now) in (int, float) and type(before) in (int, float) and info.name not in UNMEASURED
    if numbers and before > 0 and (ratio := _ratio(now / before)):
        return f"{ratio} the {title}"
    if type(now) is int and title.endswith("s") and info.name not in UNMEASURED:
        return f"{new} {title[:-1] if now == 1 else title} instead of {old}"
    return f"{title} {new} instead of {old}"


def _ratio(quotient: float) -> str:
    return next((words for ratio, words in RATIOS.items() if abs(quotient / ratio - 1) < 1e-9), "")


def _component_names(slot: str) -> dict[str, str]:
    """Short names of what fits into a slot: rope -> RoPE, learned -> learned positions."""
    return {entry.name: _short(entry.title) for entry in CATALOG if entry.slot == slot}


def _short(title: str) -> str:
    found = re.search(r"\((\w+)\)", title)
    return found[1] if found else in_running_text(title)


def in_running_text(title: str) -> str:
    """A title within a sentence: Layers becomes layers, RoPE base and MLP width stay."""
    first, space, rest = title.partition(" ")
    return (first.lower() if first[1:].islower() else first) + space + rest


def value_in_words(info: FieldInfo, value: Any) -> str:
    """A setting's value as a person reads it, on one line: on, 1,024, 0.001, rope; of a text the name, no folders."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        name = Path(value).name if info.name == "text_file" else value
        return "an upload" if re.fullmatch(r"[0-9a-f]{64}\.txt", name) else clean_name(name) or "empty"
    if isinstance(value, int):
        return str(value) if info.name in UNMEASURED else f"{value:,}"
    return f"{value:g}"
