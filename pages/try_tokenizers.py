"""Tokenizers: a text as the model will read it, cut in five ways, and how such a vocabulary is learned."""

import streamlit as st

from ui import tokenizer_form, tokenizer_merges, tokenizer_sizes, tokenizer_views

VIEWS = {
    "Tokens": tokenizer_views.draw_one,
    "Side by side": tokenizer_views.draw_beside,
    "Merges": tokenizer_merges.draw,
    "Vocabulary size": tokenizer_sizes.draw,
}

st.title("Tokenizers", anchor=False)
st.html('<p class="lead">A model reads numbers. A tokenizer cuts a text into pieces and gives each its number.</p>')
with st.container(key="tokenizers"):
    left, right = st.columns([4, 8], gap="large")
with left:
    desk = tokenizer_form.draw()
with right:
    tabs = st.tabs(list(VIEWS), key="tokenizer-tab", on_change="rerun")
    for tab, draw in zip(tabs, VIEWS.values(), strict=True):
        with tab:
            if not desk.text:
                st.text("There is no text yet. Type or paste one.")
            elif tab.open:
                draw(desk)
