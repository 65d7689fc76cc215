"""The form as a link: the address says what departs from preset and defaults, and an opened one fills the form.

What is in an address comes from anybody. Each word of it is refused alone, with a sentence; what is left fills the
form, which judges it as it judges what a person types. A text is never opened because an address names its file: only
training.txt, and what was uploaded here before.
"""

import re
from collections.abc import Collection
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from config.data_config import DataConfig
from config.errors import Problem
from config.fields import describe
from config.run_config import RunConfig
from config.short_form import Spoken, from_words, to_words
from runs import folder
from ui import form, preset_buttons, text_panel, uploads
from ui.words import counted, literal

OPENED, REFUSED = "link-opened", "link-refused"  # session keys: the words that filled the form; what was left out
OTHER_WORDS = {"run"}
PATH = "/train"


def link_of(config: RunConfig) -> str:
    """The address of the page with this configuration in it."""
    here = urlsplit(st.context.url or "")
    return urlunsplit((here.scheme, here.netloc, here.path or PATH, urlencode(to_words(config)), ""))


def fill_from_address() -> None:
    """Put an opened link into the form: once, so that what is changed then is not changed back."""
    words = {name: st.query_params.get_all(name) for name in st.query_params if name not in OTHER_WORDS}
    if not words:
        st.session_state.pop(OPENED, None)  # the page was opened without a link in between: the next one is a new one
    if not words or words == st.session_state.get(OPENED):
        return
    st.session_state[OPENED] = words
    twice = [Problem(name, f"{name[:60]} is given {len(given)} times") for name, given in words.items() if given[1:]]
    spoken = from_words({name: given[0] for name, given in words.items() if not given[1:]})
    problems = [*twice, *spoken.problems, *_unknown_text(spoken), *_no_control(spoken, words)]
    preset_buttons.apply_preset(spoken.architecture, spoken.model_size)
    st.session_state["implementation"] = spoken.implementation
    for section, values in spoken.values.items():
        form.write(section, values)
    text_panel.show_source(spoken.values["data"]["text_file"])
    st.session_state[REFUSED] = [problem.message for problem in problems]


def _unknown_text(spoken: Spoken) -> list[Problem]:
    """A command line may name any text, an address may not: in `spoken` it is replaced by the default."""
    data = spoken.values["data"]
    if is_known_text(data["text_file"]):
        return []
    message = f"text_file {data['text_file'][:60]!r} is no text that this page knows: upload it here"
    data["text_file"] = DataConfig().text_file
    return [Problem("text_file", message)]


def _no_control(spoken: Spoken, words: Collection[str]) -> list[Problem]:
    """Settings of fine-tuning alone: nobody could see or change them in this form."""
    problems = []
    for name in sorted((form.NOT_IN_FORM - {"text_file"}) & set(words) & spoken.values["data"].keys()):
        spoken.values["data"][name] = describe(DataConfig)[name].default
        problems.append(Problem(name, f"{name} belongs to fine-tuning: this form has no control for it"))
    return problems


def is_known_text(path: str) -> bool:
    """training.txt, or a text that was uploaded on this machine."""
    if path == DataConfig().text_file:
        return True
    stored = re.fullmatch(r"[0-9a-f]{64}\.txt", path.rpartition("/")[2])
    known = folder.CHECKPOINTS / uploads.FOLDER / stored[0] if stored else None
    return known is not None and path == str(known) and known.is_file()


def draw_refusals() -> None:
    """What of an opened link was left out, with a sentence each."""
    refused = st.session_state.get(REFUSED)
    if not refused:
        return
    with st.container(key="link_refused", gap="xxsmall"):
        title = f"{counted(len(refused), 'setting')} of the link cannot be used:"
        lines = "\n".join(f"* {literal(sentence)}" for sentence in refused)
        st.warning(f"**{title}**\n{lines}", icon=":material/link_off:")
        st.button("All right", key="link_seen", type="tertiary", on_click=st.session_state.pop, args=(REFUSED, None))


def draw(config: RunConfig) -> None:
    """The link, ready to copy."""
    st.caption("A link to this form: opened, it fills in what departs from the preset.")
    st.code(link_of(config), language=None, wrap_lines=True)
