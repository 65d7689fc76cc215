"""A list to choose from whose entries may be renamed while it is open: what was chosen stays chosen.

The browser knows an entry of `st.selectbox` by its words alone. When a run that trains gets a better loss, its entry is
renamed, the browser goes on to say the old words, and Streamlit, which does not know them any more, would take the
first entry. Here every entry has an id, and the words that it ever had in this session lead to it.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import streamlit as st

Id = TypeVar("Id", bound=Hashable)


def choose(title: str, names: Mapping[Id, str], *, key: str) -> Id | None:
    """Draw the list and return the id of the chosen entry, at first that of the first; None of an empty list.

    Args:
        names: by id, in the order of the list; no two alike.
        key: of the widget. Setting `st.session_state[key]` to an id before the call chooses that entry.
    """
    memory = f"{key}-memory"
    known, before, shown = st.session_state.get(memory, ({}, None, {}))
    said = st.session_state.get(key)
    chosen = said if said in names else known.get(said, before)
    if chosen not in names:
        chosen = next(iter(names), None)
    if chosen != said or shown != names:
        st.session_state[key] = chosen  # tells the browser its new words
    picked = st.selectbox(title, list(names), format_func=lambda id_: names.get(id_, str(id_)), key=key,
                          persist_state="session")  # fmt: skip
    words = {name: id_ for id_, name in names.items()}
    st.session_state[memory] = (known | words, picked, dict(names))
    return picked
