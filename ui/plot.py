"""Draws plotly figures that change while somebody looks at them.

`st.plotly_chart` hands plotly new functions for its buttons whenever it is drawn, so plotly takes the settings for
changed, throws its picture away and makes another: on a busy machine a live chart is empty in between. Here the
settings stay the same and `Plotly.react` moves the lines that are there. The script is the one that comes with the
Python package; a browser loads it once.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly
import streamlit as st
from streamlit.components.v1 import declare_component

_SCRIPT = "plotly.min.js"
# Declared for its address alone: Streamlit serves the files of such a folder.
_library = declare_component("plotly_files", path=Path(plotly.__file__).parent / "package_data")

# The heights stand in the figures, so nothing jumps when the first picture comes.
_JS = """
let script = null;
function load(address) {
  script ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve();
    const tag = document.createElement('script');
    tag.src = address;
    tag.onload = resolve;
    tag.onerror = () => { script = null; reject(new Error(`${address} cannot be loaded`)); };
    document.head.appendChild(tag);
  });
  return script;
}

// What is drawn, as a picture of twice the size, on the colour of the page.
async function save(box, name) {
  const style = getComputedStyle(box);
  const paper = style.getPropertyValue('--st-background-color').trim();
  const legend = { orientation: 'h', x: 0, y: -0.2, yanchor: 'top' };  // beside the picture there is no page that tells
  const { l, r, t, b } = box.layout.margin;
  const margin = { l: l + 16, r: r + 16, t: t + 24, b };
  const title = { ...box.layout.title, x: 0.01, y: 0.99, pad: { t: 8 } };
  const layout = { ...box.layout, title, margin, paper_bgcolor: paper, showlegend: box.data.length > 1, legend };
  const size = { width: box.clientWidth, height: box.clientHeight };
  const link = document.createElement('a');
  link.href = await window.Plotly.toImage({ data: box.data, layout }, { format: 'png', scale: 2, ...size });
  link.download = `${name}.png`;
  link.click();
}

const CONFIG = { displaylogo: false, displayModeBar: false, responsive: false };

function dress(layout, box) {
  const style = getComputedStyle(box);
  const value = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const [ink, paper, line] = [value('text-color'), value('background-color'), value('border-color')];
  layout.paper_bgcolor = layout.plot_bgcolor = 'rgba(0,0,0,0)';
  layout.font = { family: value('font'), color: ink, size: 12, ...layout.font };
  layout.hoverlabel = { bgcolor: paper, bordercolor: line, font: { color: ink, family: value('font'), size: 13 } };
  layout.legend = { bgcolor: 'rgba(0,0,0,0)', ...layout.legend };
  for (const axis of ['xaxis', 'yaxis']) {
    layout[axis] = { gridcolor: line, linecolor: line, zeroline: false, ...layout[axis] };
  }
  if (layout.title?.text) layout.title.text = `<b>${layout.title.text}</b>`;
  return [ink, paper, line].join();
}

function draw(box) {
  const width = box.clientWidth;
  if (!width || !box.isConnected) return;  // behind a tab: the observer calls when it is seen
  const figure = JSON.parse(box.wanted);
  const look = dress(figure.layout, box);
  const drawn = [look, width, box.wanted].join();
  if (box.drawn === drawn) return;
  box.drawn = drawn;
  Object.assign(figure.layout, { width, autosize: false });
  window.Plotly.react(box, figure.data, figure.layout, CONFIG);
}

export default async function ({ data, parentElement }) {
  const box = parentElement.querySelector('.plot');
  box.style.height = `${data.height}px`;
  box.setAttribute('aria-label', data.alt);
  box.wanted = data.figure;
  const button = parentElement.querySelector('.save');
  button.hidden = !data.download;
  button.onclick = () => save(box, data.download);
  await load(data.script);
  box.observer ??= new ResizeObserver(() => draw(box));
  box.observer.observe(box);
  draw(box);
}
"""

_HTML = '<div class="plot" role="figure"></div><button class="save" hidden>PNG</button>'
_component = st.components.v2.component("llm_plot", html=_HTML, js=_JS, isolate_styles=False)


def show(figure: Mapping[str, Any], *, key: str, alt: str, download: str = "") -> None:
    """Draw a figure, or change the one that `key` drew before; a zoom stays while `layout.uirevision` does.

    Args:
        figure: `{"data": …, "layout": {"height": …, …}}` as plotly.js takes it, without theme: text, grid and
            background get the colours of the page.
        alt: what the chart shows, in a sentence.
        download: name of the PNG file that a button offers; without it there is no button.
    """
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    data = {
        "figure": json.dumps(figure),
        "height": figure["layout"]["height"],
        "alt": alt,
        "download": download,
        "script": f"{'/' + base if base else ''}/component/{_library.name}/{_SCRIPT}",
    }
    _component(key=key, data=data)
