"""Shows the drawing of a model in the page, in the theme's colours, and reports which part was clicked."""

from collections.abc import Callable, Collection

import streamlit as st

from config.model_config import ModelConfig
from ui.drawing import draw

_CSS = """
svg { display: block; width: 100%; height: auto; overflow: visible; font-family: var(--st-font); }
text { fill: var(--st-text-color); dominant-baseline: central; }
.name { font-size: 14.5px; font-weight: 600; }
.title { font-size: 14px; font-weight: 600; opacity: 0.75; }
.small { font-size: 13px; opacity: 0.75; font-variant-numeric: tabular-nums; }
.box { fill: var(--st-background-color); stroke-width: 1.25;
       stroke: color-mix(in srgb, var(--st-text-color) 32%, transparent); }
.frame { fill: var(--st-secondary-background-color); stroke: var(--st-border-color); }
.sheet { fill: var(--st-secondary-background-color); stroke: var(--st-border-color); opacity: 0.7; }
.stream { stroke: color-mix(in srgb, var(--st-text-color) 55%, transparent); stroke-width: 2.5; fill: none; }
.wire { stroke: color-mix(in srgb, var(--st-text-color) 55%, transparent); stroke-width: 1.5; fill: none; }
.tie { stroke: color-mix(in srgb, var(--st-text-color) 40%, transparent); stroke-width: 1.25; fill: none;
       stroke-dasharray: 4 4; }
.head { fill: color-mix(in srgb, var(--st-text-color) 60%, var(--st-background-color)); }
.fork { fill: var(--st-text-color); }
.sum { fill: var(--st-background-color); stroke: var(--st-text-color); stroke-width: 1.5; }
.sign { stroke: var(--st-text-color); stroke-width: 1.5; }
.query { fill: color-mix(in srgb, var(--st-text-color) 55%, var(--st-background-color)); }
.key { fill: color-mix(in srgb, var(--st-text-color) 30%, var(--st-background-color)); }
.chip { fill: var(--st-secondary-background-color); stroke: var(--st-border-color); }
.chip-text { font-size: 13px; font-weight: 600; }
.part { outline: none; }
.live .part { cursor: pointer; }
.live .part:hover > :is(.box, .chip, .frame) { stroke: var(--st-primary-color); }
.part:focus-visible > :is(.box, .chip, .frame) { stroke: var(--st-primary-color); stroke-width: 2.5; }
.marked > :is(.box, .chip) { stroke: var(--st-primary-color); stroke-width: 1.75;
       fill: color-mix(in srgb, var(--st-primary-color) 12%, var(--st-background-color)); }
.marked > .query { fill: var(--st-primary-color); }
.marked > .key { fill: color-mix(in srgb, var(--st-primary-color) 55%, var(--st-background-color)); }
.stale svg { opacity: 0.35; }
.changed { animation: appear 0.5s ease-out; }
@keyframes appear { from { opacity: 0.15; } to { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { .changed { animation: none; } }
"""

# The picture is replaced as a whole; parts that differ from before fade in, so that the eye finds what a click changed.
_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector('.drawing');
  place.className = 'drawing' + (data.live ? ' live' : '') + (data.stale ? ' stale' : '');
  if (place.drawn !== data.svg) {
    const before = new Set([...place.querySelectorAll('.part')].map((part) => part.outerHTML));
    const picture = new DOMParser().parseFromString(data.svg, 'image/svg+xml').documentElement;
    place.replaceChildren(document.importNode(picture, true));
    for (const part of place.querySelectorAll('.part')) {
      if (before.size && !before.has(part.outerHTML)) part.classList.add('changed');
      if (!data.live) { part.removeAttribute('tabindex'); part.setAttribute('role', 'img'); }
    }
    place.drawn = data.svg;
  }
  const choose = (event) => {
    const part = event.target.closest?.('.part');
    if (part && data.live) { event.preventDefault(); setTriggerValue('part', part.dataset.part); }
  };
  place.onclick = choose;
  place.onkeydown = (event) => { if (event.key === 'Enter' || event.key === ' ') choose(event); };
}
"""

_component = st.components.v2.component("llm_architecture", html='<div class="drawing"></div>', css=_CSS, js=_JS)


def show(
    config: ModelConfig,
    *,
    key: str,
    marked: Collection[str] = (),
    whole: bool = True,
    stale: bool = False,
    on_part: Callable[[], None] | None = None,
) -> None:
    """Draw a model.

    Args:
        marked: slots to point out in the accent colour.
        whole: with final norm and unembedding.
        stale: pale, because the form no longer says this.
        on_part: called when a part is clicked; the session holds it as `session_state[key]["part"]`: "norm/rmsnorm".
    """
    _component(
        key=key,
        data={"svg": draw(config, marked=marked, whole=whole), "live": on_part is not None, "stale": stale},
        on_part_change=on_part or _nothing,
    )


def _nothing() -> None:
    """A drawing that is only to be looked at."""
