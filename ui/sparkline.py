"""A curve as small as a line of text: how a loss fell, without axes."""

from collections.abc import Sequence

import streamlit as st

WIDTH, HEIGHT, EDGE = 100, 32, 2

_CSS = """
.spark { height: 32px; min-width: 96px; }
svg { display: block; width: 100%; height: 100%; overflow: visible; }
polyline { fill: none; stroke-width: 1.5px; stroke-linejoin: round;
           vector-effect: non-scaling-stroke; }
"""
_JS = """
const SVG = 'http://www.w3.org/2000/svg';
export default function ({ data, parentElement }) {
  const picture = document.createElementNS(SVG, 'svg'), line = document.createElementNS(SVG, 'polyline');
  picture.setAttribute('viewBox', data.box);
  picture.setAttribute('preserveAspectRatio', 'none');
  picture.setAttribute('role', 'img');
  picture.setAttribute('aria-label', data.alt);
  line.setAttribute('points', data.points);
  line.style.stroke = data.color;
  picture.append(line);
  parentElement.querySelector('.spark').replaceChildren(...(data.points ? [picture] : []));
}
"""
_component = st.components.v2.component("llm_sparkline", html='<div class="spark"></div>', css=_CSS, js=_JS)


def show(values: Sequence[float], *, color: str, key: str, alt: str) -> None:
    """Draw at least two numbers from left to right; fewer leave the room empty, so that cards stay aligned."""
    box = f"0 0 {WIDTH} {HEIGHT}"
    _component(key=key, data={"points": points(values), "color": color, "box": box, "alt": alt})


def points(values: Sequence[float]) -> str:
    """The corners of the line; a curve that stays level lies at the bottom."""
    if len(values) < 2:
        return ""
    low, span = min(values), (max(values) - min(values)) or 1.0
    room = HEIGHT - 2 * EDGE
    return " ".join(
        f"{index * WIDTH / (len(values) - 1):.1f},{EDGE + room * (1 - (value - low) / span):.1f}"
        for index, value in enumerate(values)
    )
