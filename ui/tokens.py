"""Text as tokens: each in a colour, with its id and more on hover.

Generated text, file contents and prompts come from outside, so nothing here is HTML or Markdown: the browser part gets
tokens as data and puts them on the screen with `textContent`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

_HTML = '<div class="page" role="group"></div>'

_CSS = """
.page { font-family: var(--st-code-font); font-size: 0.875rem; line-height: 1.6; color: var(--st-text-color);
        overflow: auto; box-sizing: border-box; }
.page.framed { background: var(--st-secondary-background-color); border-radius: var(--st-base-radius); padding: 16px; }
.row { display: flex; gap: 16px; align-items: baseline; margin-bottom: 8px; }
.name { flex: 0 0 56px; font-family: var(--st-font); font-size: 0.75rem; opacity: 0.75; text-align: right; }
.tokens { min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.token { border-radius: 2px; cursor: default; }
.tinted { box-shadow: inset 0 0 0 1px color-mix(in srgb, var(--st-background-color) 60%, transparent); padding: 1px 0; }
.quiet { opacity: 0.7; }
.marked { box-shadow: inset 0 0 0 1.5px var(--st-primary-color); font-weight: 600; }
.token:hover, .token:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 0; }
.writing .row:last-child .tokens::after { content: ""; display: inline-block; width: 0.5em;
  height: 1.1em; vertical-align: text-bottom; background: var(--st-primary-color);
  animation: blink 1s steps(2) infinite; }
@keyframes blink { 50% { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .writing .row:last-child .tokens::after { animation: none; } }
.tip { position: fixed; z-index: 1000; pointer-events: none; max-width: 320px; white-space: pre-line;
       font-family: var(--st-font); font-size: 0.75rem; line-height: 1.5; padding: 4px 8px; border-radius: 4px;
       background: var(--st-text-color); color: var(--st-background-color); }
"""

# Six tints that alternate by token id: neighbours differ, and the same token always has the same one.
_JS = """
const HUES = [210, 30, 160, 320, 50, 265];
const surprise = (probability) => Math.min(1, -Math.log10(Math.max(probability, 1e-3)) / 3);
const tint = (token) => token.probability == null
  ? `hsl(${HUES[token.id % HUES.length]} 75% 55% / 0.26)`
  : `color-mix(in srgb, #cc5a2b ${Math.round(72 * surprise(token.probability))}%, transparent)`;

function draw(token) {
  const span = document.createElement('span');
  span.textContent = token.text;
  span.className = token.quiet ? 'token quiet' : 'token';
  if (token.id != null && !token.quiet) { span.classList.add('tinted'); span.style.background = tint(token); }
  if (token.marked) span.classList.add('marked');
  if (token.tooltip) { span.dataset.tooltip = token.tooltip; span.setAttribute('aria-label', token.tooltip); }
  return span;
}

const KEYS = ['text', 'id', 'tooltip', 'probability', 'quiet', 'marked'];
const signature = (token) => KEYS.map((key) => token[key]).join('\\u0000');

function fill(box, tokens) {
  const drawn = box.drawn ?? [];
  let same = 0;  // a stream only grows: what stands already is left as it is
  while (same < drawn.length && same < tokens.length && drawn[same] === signature(tokens[same])) same++;
  while (box.childNodes.length > same) box.lastChild.remove();
  for (const token of tokens.slice(same)) box.appendChild(draw(token));
  box.drawn = tokens.map(signature);
}

function makeRow(name) {
  const row = document.createElement('div');
  const label = document.createElement('div');
  const tokens = document.createElement('div');
  row.className = 'row'; label.className = 'name'; tokens.className = 'tokens';
  label.textContent = name;
  row.append(...(name ? [label] : []), tokens);
  return row;
}

function addTip(page) {
  const tip = document.createElement('div');
  tip.className = 'tip'; tip.hidden = true;
  page.parentNode.appendChild(tip);
  page.onmouseover = (event) => {
    const text = event.target.dataset?.tooltip;
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const at = event.target.getClientRects()[0];
    tip.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - tip.offsetWidth - 8))}px`;
    const below = at.bottom + 6, fits = below + tip.offsetHeight <= window.innerHeight;
    tip.style.top = `${fits ? below : at.top - tip.offsetHeight - 6}px`;
  };
  page.onmouseleave = () => { tip.hidden = true; };
}

export default function ({ data, parentElement }) {
  const page = parentElement.querySelector('.page');
  if (!page.ready) { addTip(page); page.ready = true; }
  const atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 24;
  page.className = data.framed ? 'page framed' : 'page';
  page.setAttribute('aria-label', data.label);
  page.style.height = data.height ? `${data.height}px` : 'auto';
  page.style.maxHeight = data.maxHeight ? `${data.maxHeight}px` : '';
  const shape = JSON.stringify([data.names, data.rows.length]);
  if (page.shape !== shape) {
    page.replaceChildren(...data.rows.map((_, index) => makeRow(data.names[index] ?? '')));
    page.shape = shape;
  }
  data.rows.forEach((tokens, index) => fill(page.children[index].querySelector('.tokens'), tokens));
  page.classList.toggle('writing', data.writing);
  if (data.writing && atEnd) page.scrollTop = page.scrollHeight;
}
"""

_component = st.components.v2.component("llm_tokens", html=_HTML, css=_CSS, js=_JS)


def show(
    rows: Sequence[Sequence[Mapping[str, Any]]],
    *,
    key: str,
    names: Sequence[str] = (),
    label: str = "Tokens",
    framed: bool = False,
    height: int | None = None,
    max_height: int | None = None,
    writing: bool = False,
) -> None:
    """Draw rows of tokens.

    Args:
        rows: tokens as `{"text", "id", "tooltip"}`, all but the text optional. A token with an id is tinted, by its id
            or, where it has a "probability", by how surprising it was; `"quiet": True` draws it pale, `"marked": True`
            with a frame.
        key: names this place on the page, so that the browser keeps what it has drawn there.
        names: what stands before each row.
        label: what a screen reader calls the whole.
        framed: with padding and background, like a block of code.
        height: in pixels; longer text scrolls. Unset: as high as the text.
        max_height: in pixels; as high as the text, and scrolls above that.
        writing: whether text is still coming: shows a cursor and keeps the end in view.
    """
    _component(
        key=key,
        data={
            "rows": [[dict(token) for token in row] for row in rows],
            "names": list(names),
            "label": label,
            "framed": framed,
            "height": height,
            "maxHeight": max_height,
            "writing": writing,
        },
    )
