"""Mends the first deep link after the server has started.

Streamlit takes a folder named pages/ for pages of its own until `st.navigation` has run once in the life of the server.
Until then it does not know /train, and would greet the first visitor of such an address (after a restart: everybody
who watches a run) with "Page not found". That one visitor's browser loads the page again.
"""

from urllib.parse import urlsplit

import streamlit as st

_reload = st.components.v2.component("llm_reload", js="export default function () { window.location.reload(); }")


@st.cache_resource(show_spinner=False)
def _visits() -> list[str]:
    """Addresses of visits that this server has answered: empty only for the very first."""
    return []


def reload_deep_link() -> None:
    """Call once per run of the script, after `st.navigation`."""
    visits = _visits()
    if visits:
        return
    address = urlsplit(st.context.url or "").path
    visits.append(address)
    if address.strip("/"):
        _reload(key="first-visit")
        st.stop()
