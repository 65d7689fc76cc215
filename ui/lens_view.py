"""Look inside, Logit lens and Next token: what the model would say after each layer, and at the end."""

import streamlit as st

from ui import inside_engine as engine
from ui import lens_table, next_token
from ui.inside_subject import Sight

HOW = (
    "Read down the text, and to the right through the layers: the token that the model would bet on if it stopped "
    "there, coloured where it is sure, framed where it is right. Rest on a cell for its next guesses and for the rank "
    "of the token that comes. No layer was trained to be read so: early nonsense proves nothing."
)
GUESS, TRUTH = "of its guess", "of the token that comes"


def draw(sight: Sight) -> None:
    """The table of guesses."""
    st.caption(HOW)
    shade = st.segmented_control(
        "Colour by the probability", (GUESS, TRUTH), key="inside_lens_shade", required=True, default=GUESS,
        persist_state="session",
    )  # fmt: skip
    label = f"Logit lens for {len(sight.names)} tokens, {sight.label}"
    stages = engine.lens(sight.look)
    lens_table.show(stages, sight.names, by_truth=shade == TRUTH, key="inside_lens", label=label)


def draw_next(sight: Sight) -> None:
    """The distribution after the last token, layer after layer."""
    st.caption(
        "Probability of the token after the text, in percent, as it would be after each layer; the last panel is what "
        "the model says. Bars have one scale; an outline is the layer before."
    )
    next_token.show(engine.next_token(sight.look), key="inside_next")
