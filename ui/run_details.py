"""What lies in a run's folder: the configuration it was started with, its log and its files."""

import json

import streamlit as st

from config.errors import RunError
from config.fields import Settings, describe, is_active
from config.run_config import RunConfig
from runs.folder import RunFolder
from ui import export_box
from ui.words import count, file_size, literal

LOG_TAIL_BYTES = 32_000


def draw(run: RunFolder) -> None:
    """Configuration, the way to Hugging Face, and files with the place where they are."""
    with st.expander("Configuration, as it was saved", icon=":material/settings:", key="run_configuration"):
        try:
            _draw_configuration(run.read_config())
        except RunError as error:
            st.error(literal(str(error)))
    export_box.draw(run)
    with st.expander("Files and folder", icon=":material/folder:", key="run_files"):
        st.code(str(run.path), language=None, wrap_lines=True)
        st.dataframe(_files(run), hide_index=True, key="run_file_table", alt="Files of the run with their sizes.")


def _draw_configuration(config: RunConfig) -> None:
    sections: dict[str, Settings] = {"Architecture": config.model, "Text": config.data, "Training": config.training}
    sections |= {"Adapters": config.lora} if config.lora.is_on else {}
    for place, (title, part) in zip(st.columns(len(sections), gap="medium"), sections.items(), strict=True):
        values = part.to_dict()
        rows = [
            {"Setting": info.title, "Value": _value(values[name])}
            for name, info in describe(type(part)).items()
            if name != "d_vocab" and is_active(info, values)
        ]
        with place:
            st.markdown(f"**{title}**")
            st.dataframe(rows, hide_index=True, height="content", alt=f"{title} of this run.")
    st.caption(f"Implementation: {config.implementation}")
    st.code(json.dumps(config.to_dict(), indent=2), language="json", height=240)


def _value(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value) or "empty"


def _files(run: RunFolder) -> list[dict[str, str]]:
    """Every file at the top of the run, and every folder with the sum of what is in it."""
    rows = []
    for path in sorted(run.path.iterdir()):
        parts = [part for part in path.rglob("*") if part.is_file()] if path.is_dir() else [path]
        size = sum(part.stat().st_size for part in parts)
        rows.append({"File": path.name + ("/" if path.is_dir() else ""), "Size": file_size(size)})
    return rows


def draw_log(run: RunFolder, *, open_at_first: bool) -> None:
    """The end of what the worker printed; read only while it is open."""
    box = st.expander("Log", icon=":material/receipt_long:", expanded=open_at_first, key="run_log", on_change="rerun")
    if box.open:
        with box.container(height=320, border=False, autoscroll=True, key="run_log_lines"):
            st.code(read_tail(run) or "The log is still empty.", language=None)


def read_tail(run: RunFolder, limit: int = LOG_TAIL_BYTES) -> str:
    """The last whole lines of log.txt, at most `limit` bytes; empty when there is no log."""
    try:
        with open(run.log_path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return text if size <= limit else f"… {count(size - limit)} bytes before\n" + text.partition("\n")[2]
