"""The logit lens as a table: a row for each token of the text, a column for each layer, the guess in each cell."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from ui.inside_engine import Cell
from ui.words import share

_HTML = '<div class="lens" tabindex="0" role="region"><table><thead></thead><tbody></tbody></table></div>'
_CSS = """
.lens { overflow: auto; max-height: 560px; border: 1px solid var(--st-border-color);
        border-radius: var(--st-base-radius); }
table { border-collapse: separate; border-spacing: 2px; width: 100%; table-layout: fixed;
        font-family: var(--st-code-font); font-size: 0.8125rem; color: var(--st-text-color); }
th { position: sticky; background: var(--st-background-color); font-family: var(--st-font); font-weight: 600;
     font-size: 0.75rem; padding: 6px 8px; text-align: left; white-space: nowrap; }
thead th { top: 0; z-index: 2; }
tbody th { left: 0; z-index: 1; font-family: var(--st-code-font); font-weight: 400; text-align: right;
           overflow: hidden; text-overflow: ellipsis; }
thead th:first-child { left: 0; z-index: 3; text-align: right; }
td { padding: 3px 8px; white-space: pre; border-radius: 3px; overflow: hidden;
     text-overflow: ellipsis; }
td.right { box-shadow: inset 0 0 0 1.5px var(--st-primary-color); font-weight: 600; }
td.truth { background: none; opacity: 0.75; }
td:hover { outline: 2px solid var(--st-primary-color); }
"""
# Tokens come from a model, so they are put on the screen as text, never as markup.
_JS = """
const make = (tag, text, name = '') => {
  const part = document.createElement(tag);
  part.textContent = text; part.className = name;
  return part;
};
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector('.lens'), wanted = JSON.stringify(data);
  if (place.drawn === wanted) return;
  place.drawn = wanted;
  place.setAttribute('aria-label', data.label);
  place.querySelector('table').style.minWidth = `${80 * data.columns.length}px`;
  const head = document.createElement('tr');
  head.append(...data.columns.map((name) => make('th', name)));
  place.querySelector('thead').replaceChildren(head);
  place.querySelector('tbody').replaceChildren(...data.rows.map((row) => {
    const line = document.createElement('tr');
    line.append(make('th', row.name), ...row.cells.map((cell) => {
      const box = make('td', cell.text, cell.right ? 'right' : '');
      box.style.background = `color-mix(in srgb, var(--st-primary-color) ${Math.round(62 * cell.shade)}%, transparent)`;
      box.title = cell.hover;
      return box;
    }), make('td', row.truth, 'truth'));
    return line;
  }));
}
"""
_component = st.components.v2.component("llm_lens", html=_HTML, css=_CSS, js=_JS)


def show(stages: Sequence[Sequence[Cell]], names: Sequence[str], *, by_truth: bool, key: str, label: str) -> None:
    """Draw the table.

    Args:
        stages: [stage][position], as `inside_engine.lens` gives them.
        by_truth: colour by the probability of the token that comes, not of the guess.
    """
    titles = ["embedding", *(f"layer {layer}" for layer in range(len(stages) - 1))]
    truths = [*names[1:], "?"]
    rows: list[dict[str, Any]] = []
    for at, (name, truth) in enumerate(zip(names, truths, strict=True)):
        cells = [_cell(title, stage[at], truth, by_truth) for title, stage in zip(titles, stages, strict=True)]
        rows.append({"name": name, "cells": cells, "truth": truth})
    _component(key=key, data={"columns": ["after", *titles, "then comes"], "rows": rows, "label": label})


def _cell(title: str, cell: Cell, truth: str, by_truth: bool) -> dict[str, Any]:
    guess, probability = cell.guesses[0]
    lines = [title, *(f"{share(p)}  {text}" for text, p in cell.guesses)]
    if cell.truth_rank:
        lines.append(f"{truth} comes: rank {cell.truth_rank:,}, {share(cell.truth_probability)}")
    shade = cell.truth_probability if by_truth else probability
    return {"text": guess, "shade": shade, "right": cell.truth_rank == 1, "hover": "\n".join(lines)}
