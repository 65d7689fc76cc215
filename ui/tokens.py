"""Text as tokens: each in a colour, with its id and more on hover.

Generated text, file contents and prompts come from outside, so nothing here is HTML or Markdown: the browser part gets
tokens as data and puts them on the screen with `textContent`.
"""

from collections.abc import Callable, Mapping, Sequence
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
.writing :is(.row:last-child, .begun) .tokens::after { content: ""; display: inline-block; width: 0.5em;
  height: 1.1em; vertical-align: text-bottom; background: var(--st-primary-color);
  animation: blink 1s steps(2) infinite; }
@keyframes blink { 50% { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .writing .tokens::after { animation: none; } }
.page.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 24px; }
.page.beside:has(.row:nth-child(4)) { grid-template-columns: repeat(auto-fit, minmax(max(180px, 40%), 1fr)); }
.beside .row { flex-direction: column; gap: 4px; margin: 0; min-width: 0; }
.beside .name { flex: none; text-align: left; }
.token.live { cursor: pointer; }
.menu { position: fixed; z-index: 1001; min-width: 160px; max-width: 320px; padding: 4px; border-radius: 8px;
        background: var(--st-background-color); border: 1px solid var(--st-border-color); color: var(--st-text-color);
        box-shadow: 0 4px 16px rgb(0 0 0 / 0.16); }
.menu[hidden] { display: none; }
.menu button { display: flex; width: 100%; justify-content: space-between; gap: 24px; padding: 4px 8px; border: 0;
        border-radius: 4px; background: none; color: inherit; cursor: pointer; text-align: left;
        font-family: var(--st-code-font); font-size: 0.8125rem; line-height: 1.5; white-space: pre; }
.menu button:first-child { font-family: var(--st-font); }
.menu button:is(:hover, :focus-visible) { background: color-mix(in srgb, var(--st-primary-color) 14%, transparent);
        outline: none; }
.menu p { margin: 4px 8px; font-family: var(--st-font); font-size: 0.75rem; opacity: 0.75; }
.tip { position: fixed; z-index: 1000; pointer-events: none; max-width: 320px; white-space: pre-line;
       font-family: var(--st-font); font-size: 0.75rem; line-height: 1.5; padding: 4px 8px; border-radius: 4px;
       background: var(--st-text-color); color: var(--st-background-color); }
"""

# Six tints that alternate by token id: neighbours differ, and the same token always has the same one.
_JS = """
const HUES = [210, 30, 160, 320, 50, 265], ORANGE = '#cc5a2b', GREEN = '#0f9d8f';
const surprise = (probability) => Math.min(1, -Math.log10(Math.max(probability, 1e-3)) / 3);
const mixed = (color, share) => `color-mix(in srgb, ${color} ${Math.round(72 * share)}%, transparent)`;
const tint = (token) => token.strength != null ? mixed(token.strength < 0 ? ORANGE : GREEN, Math.abs(token.strength))
  : token.probability != null ? mixed(ORANGE, surprise(token.probability))
  : `hsl(${HUES[token.id % HUES.length]} 75% 55% / 0.26)`;

function draw(token) {
  const span = document.createElement('span');
  span.textContent = token.text;
  span.className = token.quiet ? 'token quiet' : 'token';
  const tinted = (token.id ?? token.strength) != null && !token.quiet;
  if (tinted) { span.classList.add('tinted'); span.style.background = tint(token); }
  if (token.marked) span.classList.add('marked');
  if (token.choices) { span.classList.add('live'); span.tabIndex = -1; span.setAttribute('role', 'button'); }
  span.choices = token.choices;
  if (token.tooltip) { span.dataset.tooltip = token.tooltip; span.setAttribute('aria-label', token.tooltip); }
  return span;
}

const KEYS = ['text', 'id', 'tooltip', 'probability', 'strength', 'quiet', 'marked', 'choices'];
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
  page.hideTip = page.onmouseleave = () => { tip.hidden = true; };
}

// A click on a token that has choices opens them; the one that is taken is reported with the token's place.
function addMenu(page) {
  const menu = document.createElement('div');
  menu.className = 'menu'; menu.hidden = true; menu.setAttribute('role', 'menu');
  menu.tabIndex = -1;  // where buttons take no focus from a click, the menu does, and stays
  page.parentNode.appendChild(menu);
  const entry = (place, index, ...texts) => {
    const button = document.createElement('button');
    button.setAttribute('role', 'menuitem');
    button.append(...texts.map((text) => Object.assign(document.createElement('span'), { textContent: text })));
    button.onclick = () => { menu.hidden = true; page.report({ ...place, choice: index }); };
    return button;
  };
  const open = (token) => {
    const row = token.closest('.row');
    const place = { row: [...page.children].indexOf(row), at: [...row.querySelectorAll('.live')].indexOf(token) };
    const instead = Object.assign(document.createElement('p'), { textContent: 'or with another token here' });
    menu.replaceChildren(entry(place, -1, 'Write on from here'), ...(token.choices.length ? [instead] : []),
      ...token.choices.map(([text, share], index) => entry(place, index, text, share)));
    menu.hidden = false;
    page.hideTip();
    const at = token.getClientRects()[0], below = at.bottom + 4;
    menu.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${below + menu.offsetHeight <= window.innerHeight ? below : at.top - menu.offsetHeight - 4}px`;
    menu.firstChild.focus();
    menu.from = token;
  };
  page.onclick = (event) => { if (event.target.choices) open(event.target); };
  page.onscroll = () => { menu.hidden = true; };
  page.onkeydown = (event) => {
    const tokens = [...page.querySelectorAll('.live')], here = tokens.indexOf(event.target);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && tokens.length) tokens[Math.max(0, Math.min(tokens.length - 1, here + step))].focus();
    else if (here >= 0 && [' ', 'Enter'].includes(event.key)) open(event.target);
    else return;
    event.preventDefault();
  };
  menu.onkeydown = (event) => {
    const entries = [...menu.querySelectorAll('button')];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const here = entries.findIndex((button) => button.matches(':focus'));
    if (step) entries[(here + step + entries.length) % entries.length].focus();
    else if (event.key === 'Escape') { menu.hidden = true; menu.from.focus(); }
    else return;
    event.preventDefault();
  };
  menu.addEventListener('focusout', (event) => {  // there is no onfocusout
    if (!menu.contains(event.relatedTarget)) menu.hidden = true;
  });
}

export default function ({ data, parentElement, setTriggerValue }) {
  const page = parentElement.querySelector('.page');
  if (!page.ready) { addTip(page); addMenu(page); page.ready = true; }
  page.report = (place) => setTriggerValue('choice', place);
  const atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 24;
  page.className = `page${data.framed ? ' framed' : ''}${data.beside ? ' beside' : ''}`;
  page.tabIndex = data.rows.some((tokens) => tokens.some((token) => token.choices)) ? 0 : -1;
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
  for (const row of page.children) row.classList.toggle('begun', data.beside);
  const sideBySide = page.firstChild?.offsetTop === page.lastChild?.offsetTop;
  if (data.writing && atEnd && (sideBySide || !data.beside)) page.scrollTop = page.scrollHeight;
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
    beside: bool = False,
    on_choice: Callable[[], None] | None = None,
) -> None:
    """Draw rows of tokens.

    Args:
        rows: tokens as `{"text", "id", "tooltip"}`, all but the text optional. A token with an id is tinted, by its id
            or, where it has a "probability", by how surprising it was; a "strength" from −1 to 1 tints it as well,
            orange below 0 and green above; `"quiet": True` draws it pale, `"marked": True` with a frame. `"choices"`
            are (text, share) pairs that a click on the token offers.
        key: names this place on the page, so that the browser keeps what it has drawn there.
        names: what stands before each row.
        label: what a screen reader calls the whole.
        framed: with padding and background, like a block of code.
        height: in pixels; longer text scrolls. Unset: as high as the text.
        max_height: in pixels; as high as the text, and scrolls above that.
        writing: whether text is still coming: shows a cursor and keeps the end in view.
        beside: rows become columns.
        on_choice: called when a choice is taken; `session_state[key]["choice"]` is then `{"row", "at", "choice"}`: `at`
            counts the tokens of the row that have choices, and choice −1 is the token's own place without another.
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
            "beside": beside,
        },
        on_choice_change=on_choice or _nothing,
    )


def _nothing() -> None:
    """A text that is only to be looked at."""
