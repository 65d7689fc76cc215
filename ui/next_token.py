"""What may come next: the distribution of the next token before the sampler, and after each of its stages."""

import html
from dataclasses import replace

import streamlit as st

from ui import generation_engine as engine
from ui.generation_engine import NextToken, PromptFacts
from ui.sampler_settings import SamplerSettings
from ui.words import literal, number, share
from ui.writing import Piece, joined

TAIL = 32  # characters that remind of where a text has come to

_HTML = '<div class="stages" role="group"></div>'
_CSS = """
.stages { display: grid; grid-template-columns: repeat(auto-fill, minmax(208px, 1fr)); gap: 24px 32px;
          font-family: var(--st-font); color: var(--st-text-color); font-size: 0.8125rem; }
.title { font-weight: 600; }
.title span { opacity: 0.75; font-weight: 400; margin-right: 6px; }
.facts { opacity: 0.75; font-size: 0.75rem; margin-bottom: 8px; }
.bar { display: grid; grid-template-columns: 56px 1fr 48px; gap: 8px; align-items: center; line-height: 20px;
       border-radius: 4px; }
.bar:hover { background: var(--st-secondary-background-color); }
.token { font-family: var(--st-code-font); overflow: hidden; text-overflow: ellipsis; white-space: pre;
         text-align: right; }
.track { position: relative; height: 10px; }
.now, .before { position: absolute; left: 0; top: 0; height: 100%; border-radius: 2px; box-sizing: border-box; }
.now { background: var(--st-primary-color); min-width: 1px; }
.before { border: 1px solid color-mix(in srgb, var(--st-text-color) 45%, transparent); border-left: 0; }
.share { text-align: right; font-variant-numeric: tabular-nums; }
.gone .token, .gone .share { opacity: 0.65; }
.gone .token { text-decoration: line-through; }
.gone .now { display: none; }
"""
# Tokens come from a model, so they are put on the screen as text, never as markup.
_JS = """
const make = (name, text = '') => {
  const part = document.createElement('div');
  part.className = name; part.textContent = text;
  return part;
};
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector('.stages');
  place.setAttribute('aria-label', data.label);
  place.replaceChildren(...data.stages.map((stage, index) => {
    const panel = make('panel'), title = make('title', stage.name);
    if (index) title.prepend(Object.assign(document.createElement('span'), { textContent: `${index}` }));
    panel.append(title, make('facts', stage.facts));
    for (const bar of stage.bars) {
      const row = make(bar.now > 0 ? 'bar' : 'bar gone'), track = make('track');
      const now = make('now'), before = make('before');
      now.style.width = `${100 * bar.now / data.most}%`;
      before.style.width = `${100 * bar.before / data.most}%`;
      track.append(now, ...(index ? [before] : []));
      row.append(make('token', bar.text), track, make('share', bar.share));
      row.title = bar.hover;
      row.setAttribute('role', 'img'); row.setAttribute('aria-label', bar.hover);
      panel.append(row);
    }
    return panel;
  }));
}
"""
_component = st.components.v2.component("llm_stages", html=_HTML, css=_CSS, js=_JS)


def draw(
    path: str, stamp: str, facts: PromptFacts, settings: SamplerSettings, prompt: str, text: tuple[Piece, ...] | None
) -> None:
    """A box that computes when it is open: what comes after the prompt and the text (None: it still grows)."""
    box = st.expander("What may come next", icon=":material/bar_chart:", key="what_next", on_change="rerun")
    if not box.open:
        return
    with box:
        if text is None or facts.problem:
            st.caption(
                "It is shown when the text is complete."
                if text is None
                else "The prompt has characters that the model cannot read."
            )
            return
        try:
            written = tuple(engine.tokens_of(path, stamp, text))
            settings = replace(settings, seed=0, max_new_tokens=0, samples=1, stop=())  # they change nothing here
            found = engine.next_token(path, stamp, facts.tokens, written, settings)
        except ValueError as error:
            st.error(literal(str(error)), icon=":material/error:")
            return
        tail = (prompt + joined(text))[-TAIL:]
        where = f"After “…{tail}”" if tail else "At the beginning"
        st.html(
            f'<p class="fact">{html.escape(where)}: probability of the next token in percent, before the sampler and '
            "after each of its stages. Bars have one scale; an outline is the stage before.</p>"
        )
        show(found, key="next_token")


def show(found: NextToken, *, key: str) -> None:
    """One panel for each stage, the same tokens in each, on one scale: the outline is the stage before."""
    stages = []
    before = found.stages[0].probabilities
    for stage in found.stages:
        bars = [
            {"text": text, "now": now, "before": was, "share": share(now),
             "hover": f"{text}, token {token:,}: {share(now)} after this stage, {share(was)} before it"}
            for (token, text), now, was in zip(found.tokens, stage.probabilities, before, strict=True)
        ]  # fmt: skip
        facts = f"{stage.possible:,} possible · {number(stage.entropy_bits, 2)} bits of entropy"
        stages.append({"name": stage.name, "facts": facts, "bars": bars})
        before = stage.probabilities
    most = max(max(stage.probabilities) for stage in found.stages)
    label = "Probability of the next token in percent, after each stage of the sampler"
    _component(key=key, data={"stages": stages, "most": most, "label": label})
