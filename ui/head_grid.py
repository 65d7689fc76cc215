"""All attention heads as small pictures, layer by layer; a click chooses one.

A picture is a mask over the theme's colour, so it needs no second drawing when the page turns dark.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from ui.inside_engine import Head

_HTML = '<div class="grid" role="group" aria-label="Attention heads"></div>'
_CSS = """
.grid { display: flex; flex-direction: column; gap: 8px; font-family: var(--st-font); color: var(--st-text-color);
        overflow-x: auto; padding: 3px; }
.layer { display: grid; grid-template-columns: 56px repeat(var(--heads), minmax(28px, 88px)); gap: 8px;
         align-items: center; }
.layer:last-child span { align-self: start; }
.name { font-size: 0.75rem; opacity: 0.75; white-space: nowrap; }
.head { position: relative; aspect-ratio: 1; padding: 0; border: 1px solid var(--st-border-color); border-radius: 4px;
        cursor: pointer; overflow: hidden; color: inherit;
        background: linear-gradient(to bottom left, var(--st-secondary-background-color) 50%, transparent 50%); }
.head:is(:hover, :focus-visible) { outline: 2px solid color-mix(in srgb, var(--st-primary-color) 60%, transparent); }
.head[aria-pressed="true"] { outline: 2px solid var(--st-primary-color); border-color: transparent; }
.weights { position: absolute; inset: 0; background: var(--st-primary-color); mask-size: 100% 100%;
           image-rendering: pixelated; }
.foot { font-size: 0.6875rem; opacity: 0.75; text-align: center; }
"""
_JS = """
function picture(pixels, size) {
  const canvas = Object.assign(document.createElement('canvas'), { width: size, height: size });
  const context = canvas.getContext('2d'), image = context.createImageData(size, size);
  const bytes = atob(pixels);
  for (let at = 0; at < bytes.length; at++) image.data[4 * at + 3] = bytes.charCodeAt(at);
  context.putImageData(image, 0, 0);
  // Enlarged by whole pixels here, because a browser would blur a small mask.
  const step = Math.max(1, Math.ceil(96 / size)), large = document.createElement('canvas');
  large.width = large.height = size * step;
  const target = large.getContext('2d');
  target.imageSmoothingEnabled = false;
  target.drawImage(canvas, 0, 0, large.width, large.height);
  return `url(${large.toDataURL()})`;
}
const text = (name, words) => Object.assign(document.createElement('span'), { className: name, textContent: words });

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector('.grid');
  const pictures = JSON.stringify([data.size, data.layers]);
  if (grid.pictures !== pictures) {
    grid.pictures = pictures;
    grid.replaceChildren(...data.layers.map((layer) => {
      const row = Object.assign(document.createElement('div'), { className: 'layer' });
      row.style.setProperty('--heads', layer.heads.length);
      row.append(text('name', layer.name), ...layer.heads.map((head) => {
        const button = Object.assign(document.createElement('button'), { className: 'head', title: head.alt });
        button.dataset.head = head.id;
        button.setAttribute('aria-label', head.alt);
        const weights = text('weights', '');
        weights.style.maskImage = picture(head.pixels, data.size);
        button.append(weights);
        button.onclick = () => setTriggerValue('head', head.id);
        return button;
      }));
      return row;
    }));
    const feet = Object.assign(document.createElement('div'), { className: 'layer' });
    const most = Math.max(...data.layers.map((layer) => layer.heads.length));
    feet.style.setProperty('--heads', most);
    feet.append(text('name', 'head'), ...Array.from({ length: most }, (_, head) => text('foot', `${head}`)));
    grid.append(feet);
  }
  for (const button of grid.querySelectorAll('.head')) {
    button.setAttribute('aria-pressed', button.dataset.head === data.chosen);
  }
}
"""
_component = st.components.v2.component("llm_heads", html=_HTML, css=_CSS, js=_JS)


def show(heads: Sequence[Head], size: int, chosen: tuple[int, int], *, key: str, on_head: Callable[[], None]) -> None:
    """Draw the heads, `size` pixels a side.

    Args:
        chosen: layer and head that is framed.
        on_head: called at a click; `session_state[key]["head"]` is then "layer/head".
    """
    layers: dict[int, list[dict[str, Any]]] = {}
    for head in heads:
        layers.setdefault(head.layer, []).append(
            {"id": f"{head.layer}/{head.head}", "pixels": head.pixels, "alt": describe(head)}
        )
    data = {
        "size": size,
        "layers": [{"name": f"layer {layer}", "heads": found} for layer, found in layers.items()],
        "chosen": "/".join(map(str, chosen)),
    }
    _component(key=key, data=data, on_head_change=on_head)


def describe(head: Head) -> str:
    """Where a head is, and what it does most, in a line."""
    words = {"previous_token": "previous token", "first_token": "first token"}
    shares = {words[name]: value for name, value in head.scores.items() if name in words and value is not None}
    found = " · ".join(f"{name} {value:.2f}" for name, value in shares.items())
    return f"layer {head.layer} head {head.head}" + (f" · {found}" if found else "")
