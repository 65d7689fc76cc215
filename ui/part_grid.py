"""Every part of a model as a switch: layers are rows; heads, attention, MLP and the whole layer are columns.

Where the worth of the parts is known, it stands in the cells and colours them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import streamlit as st

Part = tuple[int, str, int | None]  # layer, kind, head

_HTML = '<div class="parts" role="group" aria-label="Parts of the model"></div>'
_CSS = """
.parts { display: grid; gap: 4px; overflow-x: auto; padding: 3px; font-family: var(--st-font); font-size: 0.75rem;
         color: var(--st-text-color); }
.title { opacity: 0.75; white-space: nowrap; align-self: center; }
.title.column { text-align: center; }
button { min-height: 32px; padding: 0 4px; border: 1px solid var(--st-border-color); border-radius: 4px; color: inherit;
         background: none; font: inherit; font-variant-numeric: tabular-nums; cursor: pointer; white-space: nowrap; }
button:is(:hover, :focus-visible) { outline: 2px solid var(--st-primary-color); }
button[aria-checked="false"] { text-decoration: line-through; opacity: 0.85; border-style: dashed;
  border-color: var(--st-text-color); background-image: repeating-linear-gradient(-45deg, transparent 0 5px,
  color-mix(in srgb, var(--st-text-color) 22%, transparent) 5px 6px); }
"""
_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector('.parts');
  grid.style.gridTemplateColumns = `56px repeat(${data.columns.length}, minmax(52px, 1fr))`;
  const title = (text, name) => Object.assign(document.createElement('div'), { textContent: text, className: name });
  const kept = document.activeElement?.dataset?.part ?? grid.getRootNode().activeElement?.dataset?.part;
  grid.replaceChildren(title('', ''), ...data.columns.map((name) => title(name, 'title column')));
  for (const row of data.rows) {
    grid.append(title(row.name, 'title'));
    for (const cell of row.cells) {
      if (!cell) { grid.append(title('', '')); continue; }
      const button = Object.assign(document.createElement('button'), { textContent: cell.text, title: cell.alt });
      button.setAttribute('role', 'switch');
      button.setAttribute('aria-checked', !cell.off);
      button.setAttribute('aria-label', cell.alt);
      button.dataset.part = cell.id;
      const color = cell.shade < 0 ? '#4477aa' : '#cc5a2b', share = Math.round(70 * Math.abs(cell.shade));
      button.style.backgroundColor = `color-mix(in srgb, ${color} ${share}%, transparent)`;
      button.onclick = () => setTriggerValue('part', cell.id);
      grid.append(button);
      if (cell.id === kept) button.focus();
    }
  }
}
"""
_component = st.components.v2.component("llm_parts", html=_HTML, css=_CSS, js=_JS)


def show(
    parts: Sequence[Part],
    off: Collection[Part],
    changes: Mapping[Part, float],
    *,
    key: str,
    on_part: Callable[[], None],
) -> None:
    """Draw the switches.

    Args:
        off: the parts that are switched off.
        changes: of the loss without a part, in nats per token; empty while nothing is measured.
        on_part: called at a click; `session_state[key]["part"]` is then the part as `name_of` gives it.
    """
    columns = list(dict.fromkeys(title_of(part) for part in parts))
    most = max((abs(change) for change in changes.values()), default=0.0) or 1.0
    rows: list[dict[str, Any]] = []
    for layer in sorted({part[0] for part in parts}):
        own = {title_of(part): part for part in parts if part[0] == layer}
        cells = [_cell(own[name], off, changes, most) if name in own else None for name in columns]
        rows.append({"name": f"layer {layer}", "cells": cells})
    _component(key=key, data={"columns": columns, "rows": rows}, on_part_change=on_part)


def _cell(part: Part, off: Collection[Part], changes: Mapping[Part, float], most: float) -> dict[str, Any]:
    change = changes.get(part)
    worth = "" if change is None else f": loss {change:+.3f} nats without it"
    return {
        "id": name_of(part),
        "text": "on" if change is None else f"{change:+.2f}".replace("-0.00", "+0.00"),
        "shade": 0.0 if change is None else change / most,
        "alt": f"layer {part[0]} {title_of(part)}{worth}" + (", switched off" if part in off else ""),
        "off": part in off,
    }


def title_of(part: Part) -> str:
    """What stands above its column."""
    return {"head": f"head {part[2]}", "mlp": "MLP", "layer": "whole layer"}.get(part[1], part[1])


def name_of(part: Part) -> str:
    """1/head/3, or 1/mlp/."""
    return f"{part[0]}/{part[1]}/{'' if part[2] is None else part[2]}"
