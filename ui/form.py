"""A form that writes itself: every control, label and help line comes from the fields' own descriptions.

The values live in `st.session_state` under `key(section, field)`, filled before any control is drawn, so they are all
there whichever tab is open, and survive a change of page.
"""

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from config.data_config import DataConfig
from config.fields import FieldInfo, Settings, describe, is_active
from config.lora_config import LoraConfig
from config.model_config import ModelConfig
from config.presets import preset_info
from config.train_config import TrainConfig

SECTIONS: dict[str, type[Settings]] = {
    "model": ModelConfig, "data": DataConfig, "training": TrainConfig,
    "tune_model": ModelConfig, "tune_data": DataConfig, "tune": TrainConfig, "lora": LoraConfig,  # of Fine-tune
}  # fmt: skip
# One follows the tokenizer, the others have panels of their own.
NOT_IN_FORM = {"d_vocab", "text_file", "text_kind", "prompt_field", "response_field", "pair_template"}
ALL_SWITCHES = "all-switches"  # where the session says that switches of single families are wanted, too
MOST_OPEN_GROUPS = 3  # behind "More"; where there are more of them, each opens by itself
WIDEST_CHOICE = 42  # characters that fit as segments into one row; longer lists become a drop-down


def key(section: str, name: str) -> str:
    """Where a value lives in the session, and the name of its control."""
    return f"{section}-{name}"


def fill_defaults() -> None:
    """Give every value that the session lacks its default."""
    for section, config_class in SECTIONS.items():
        for name, info in describe(config_class).items():
            st.session_state.setdefault(key(section, name), info.default)


def read(section: str) -> dict[str, Any]:
    """All values of a section as they stand, sound or not."""
    return {name: st.session_state[key(section, name)] for name in describe(SECTIONS[section])}


def write(section: str, values: Mapping[str, Any]) -> None:
    """Set values from a callback, before their controls are drawn."""
    for name, value in values.items():
        st.session_state[key(section, name)] = value


def label_of(info: FieldInfo) -> str:
    """Title with the paper's symbol: Width (d_model)."""
    return f"{info.title} ({info.symbol})" if info.symbol else info.title


def help_of(info: FieldInfo) -> str:
    """What the setting does, its unit and a typical value, in one line."""
    unit = f" In {info.unit}." if info.unit else ""
    return f"{info.help}{unit} Typical: {info.typical}."


def step_of(info: FieldInfo) -> int | float:
    """What one click on + or − adds: about a tenth of the default or typical value, a quarter for powers of two."""
    default = info.default or _leading_number(info.typical)
    if info.type is int:
        default = int(default)
        if default >= 64 and default & (default - 1) == 0:
            return default // 4
        return max(1, 10 ** math.floor(math.log10(default or 1)) // 10)
    return 10.0 ** (math.floor(math.log10(default)) - 1) if default else 0.05


def _leading_number(text: str) -> float:
    found = re.match(r"\d[\d.]*(e-?\d+)?", text)
    return float(found.group().rstrip(".")) if found else 0


def shown(section: str, *, basic: bool, group: str = "") -> list[FieldInfo]:
    """The fields of a section that belong before (`basic`) or behind "More" and have an effect now."""
    values = read(section)
    return [
        info
        for info in active(section)
        if info.basic == basic and group in ("", info.group) and is_asked_for(info, values)
    ]


def active(section: str) -> list[FieldInfo]:
    """The fields of a section that have a control and an effect now."""
    values, infos = read(section), describe(SECTIONS[section]).values()
    return [info for info in infos if info.name not in NOT_IN_FORM and is_active(info, values)]


def is_asked_for(info: FieldInfo, values: Mapping[str, Any]) -> bool:
    """Whether a switch of a single family is shown: its preset or a person has set it, or all of them are wanted."""
    if not info.rare or st.session_state.get(ALL_SWITCHES):
        return True
    return values[info.name] != info.default or info.name in preset_info(st.session_state["preset"]).fields


def draw_more(section: str, problems: Mapping[tuple[str, str], str], first: Callable[[], None] | None = None) -> None:
    """Everything that is not basic, by group, behind one click; open by itself when a problem is in it."""
    infos = shown(section, basic=False)
    groups = list(dict.fromkeys(info.group for info in infos))
    with st.expander("More", expanded=_troubled(section, infos, problems), key=f"more-{section}"):
        if first:
            first()
        for group in groups:
            members = sorted((info for info in infos if info.group == group), key=_row_of)
            with _place_of_group(section, group, members, problems, folded=len(groups) > MOST_OPEN_GROUPS):
                draw(section, members, problems)
        if any(info.rare for info in describe(SECTIONS[section]).values()):
            st.toggle(
                "Rare switches too",
                key=ALL_SWITCHES,
                persist_state="session",
                help="Show also the switches that serve a single family of models, such as Gemma's embedding scale. "
                "Typical: off.",
            )


def _place_of_group(
    section: str, group: str, members: Sequence[FieldInfo], problems: Mapping[tuple[str, str], str], *, folded: bool
) -> Any:
    """Where a group's controls stand: below its name, or where there are many groups, behind it.

    The rest of a group that is mostly basic needs no name there: it stands in the open.
    """
    if not folded:
        st.caption(group)
        return st.container()
    if any(info.basic for info in describe(SECTIONS[section]).values() if info.group == group):
        return st.container()
    key_of_group = f"more-{section}-{group.split()[0].lower()}"
    return st.expander(group, type="compact", expanded=_troubled(section, members, problems), key=key_of_group)


def _troubled(section: str, infos: Sequence[FieldInfo], problems: Mapping[tuple[str, str], str]) -> bool:
    return any((section, info.name) in problems for info in infos)


def _row_of(info: FieldInfo) -> int:
    """Choices take a row each; then numbers, then switches, so that the grid has no holes."""
    return 0 if info.choices else 2 if info.type is bool else 1


def draw(section: str, infos: Sequence[FieldInfo], problems: Mapping[tuple[str, str], str], columns: int = 2) -> None:
    """Controls in a grid, choices in rows of their own, each with its problem below it."""
    row: list[Any] = []
    for info in infos:
        if info.choices:
            row = []
            place = st.container()
        else:
            if not row:
                row = list(st.columns(columns, vertical_alignment="top"))
            place = row.pop(0)
        with place:
            control(section, info)
            show_problem(problems.get((section, info.name)))


def control(section: str, info: FieldInfo) -> None:
    """The control that fits the field's type. Limits are checked by the config, which says why, not by the widget."""
    shared: dict[str, Any] = {
        "label": label_of(info),
        "key": key(section, info.name),
        "help": help_of(info),
        "persist_state": "session",
    }
    if info.choices and sum(len(choice) + 2 for choice in info.offered) <= WIDEST_CHOICE:
        st.segmented_control(options=info.offered, required=True, **shared)
    elif info.choices:
        st.selectbox(options=info.offered, **shared)
    elif info.type is bool:
        st.toggle(**shared)
    elif info.type is str:
        st.text_input(placeholder=info.typical, **shared)
    else:
        number_format = "%g" if info.type is float else "%d"
        # value=None: a field that was emptied says so, instead of turning into a zero that nobody has typed.
        placeholder = placeholder_of(section, info) if section in ("training", "tune") else info.typical
        st.number_input(step=step_of(info), format=number_format, value=None, placeholder=placeholder, **shared)


def placeholder_of(section: str, info: FieldInfo) -> str:
    """What an empty field of the training stands for, as long as the rest of the form can say it."""
    try:
        training = TrainConfig(**read(section) | {info.name: None})
    except ValueError:
        return info.typical
    if info.name == "warmup_steps" and training.epochs is None:
        return f"{training.warmup_of(training.max_steps):,}"
    return f"{training.final_lr:g}" if info.name == "min_lr" else info.typical


def show_problem(message: str | None) -> None:
    """One sentence in red below a control; drawn as text, whatever is in it."""
    if message:
        st.html(f'<p class="problem" role="alert">{html.escape(message)}</p>')
