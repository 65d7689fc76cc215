"""The left side of Fine-tune: which checkpoint, which text, what is trained, and for how long."""

import html

import streamlit as st

from config.lora_config import TARGETS
from runs import folder
from runs.checkpoints import CheckpointInfo
from runs.folder import RunFolder
from ui import form, run_picker, steady_choice, tuning, uploads
from ui.tuning import FIRST_RANK, FULL, LORA, OWN, PAIRS, PARENTS, SAMPLE, Tuning, path_key
from ui.words import file_size

KINDS = {OWN: ["txt", "md", "csv", "tsv", "json", "py", "tex", "html"], PAIRS: ["csv", "jsonl"]}
LARGEST_UPLOAD = 50  # MB; the server's own limit stands in .streamlit/config.toml
BASIC = ("max_steps", "lr", "batch_size", "warmup_steps")
EXAMPLE = 'prompt,response\nName a bird.,The wren.\n"Two, please?","Yes, two."'


def pick_parent(runs: list[RunFolder]) -> tuple[RunFolder, CheckpointInfo | None]:
    """The run and the checkpoint to begin from; the address (`?from=…`) names the run."""
    by_id = {run.id: run for run in runs}
    asked = st.query_params.get("from")
    if asked in by_id and st.session_state.get("tune-asked") != asked:
        st.session_state["tune_run"] = st.session_state["tune-asked"] = asked
    picked = steady_choice.choose("Begin from", run_picker.run_lines(runs), key="tune_run") or runs[0].id
    run = by_id[picked]
    return run, run_picker.pick_checkpoint(run)


def draw_text(tuned: Tuning) -> None:
    """What it learns from."""
    source = st.segmented_control(
        "Learn from", tuning.sources_of(tuned.parent, tuned.before), key="tune-source", required=True,
        persist_state="session", on_change=forget_problem,
        help="Another text; prompts with the responses that are wanted; or the text of the run itself, to go on or to "
        "change its settings. Typical: your own text.",
    )  # fmt: skip
    if source in KINDS:
        draw_upload(source)
    elif source == SAMPLE:
        st.caption("Little plays, about 1 MB.")
    form.show_problem(tuned.problems.get(("tune_data", "text_file")) if waits_for_nothing(source) else None)
    if source == PAIRS:
        form.draw("tune_data", infos("tune_data", "prompt_field", "response_field"), tuned.problems)
        form.draw("tune_data", infos("tune_data", "pair_template"), tuned.problems, columns=1)
    if source == PARENTS:
        st.toggle(
            "Weights only", key="tune-weights-only", persist_state="session",
            help="Begin at step 0 with a schedule of its own, although optimizer, random state and place in the text "
            "could be taken over. Typical: off.",
        )  # fmt: skip


def waits_for_nothing(source: str | None) -> bool:
    """Whether a problem with the text is more than that there is none yet."""
    return source not in KINDS or bool(
        st.session_state.get(path_key(source)) or st.session_state.get("tune-upload-problem")
    )


def draw_upload(source: str) -> None:
    """The upload field of a source, and what lies in it."""
    number = st.session_state.setdefault("tune-upload-number", 0)
    st.file_uploader(
        "Upload", type=KINDS[source], key=f"tune-upload-{number}", max_upload_size=LARGEST_UPLOAD,
        on_change=take_upload, args=(source,), label_visibility="collapsed",
    )  # fmt: skip
    if name := st.session_state.get(f"{path_key(source)}-name"):
        size = file_size(st.session_state[f"{path_key(source)}-size"])
        st.html(f'<p class="fact">{html.escape(name[:60])} · {size}</p>')
    elif source == PAIRS:
        st.code(EXAMPLE, language=None)


def take_upload(source: str) -> None:
    """Store what was uploaded; the name it came with is only shown, never used as a path."""
    number = st.session_state["tune-upload-number"]
    upload = st.session_state.get(f"tune-upload-{number}")
    if upload is None:
        return
    st.session_state["tune-upload-number"] = number + 1
    forget_problem()
    content = upload.getvalue()
    suffix = f".{upload.name.rpartition('.')[2].lower()}" if source == PAIRS else ".txt"
    try:
        path = uploads.store(content, folder.CHECKPOINTS, suffix if suffix in (".csv", ".jsonl") else ".txt")
    except ValueError as error:
        st.session_state["tune-upload-problem"] = str(error)
        return
    st.session_state[path_key(source)] = str(path)
    st.session_state[f"{path_key(source)}-name"], st.session_state[f"{path_key(source)}-size"] = (
        upload.name,
        len(content),
    )


def forget_problem() -> None:
    """What was wrong with the last upload."""
    st.session_state["tune-upload-problem"] = None


def draw_method(tuned: Tuning) -> None:
    """All weights, or adapters beside frozen ones."""
    method = st.segmented_control(
        "Train", (FULL, LORA), key="tune-method", required=True, persist_state="session", on_change=choose_method,
        help="All weights learn most and forget most; adapters are a few percent of the numbers beside frozen weights, "
        "and so are the checkpoints. Typical: LoRA for a large model or a small text.",
    )  # fmt: skip
    if method != LORA:
        form.show_problem(tuned.problems.get(("lora", "lora_rank")))
        return
    form.draw("lora", infos("lora", "lora_rank", "lora_alpha"), tuned.problems)
    left, right = st.columns(2, vertical_alignment="top")
    with left:
        info = infos("lora", "lora_targets")[0]
        st.selectbox(
            form.label_of(info), TARGETS, key="lora-lora_targets", accept_new_options=True, help=form.help_of(info),
            persist_state="session",
        )  # fmt: skip
        form.show_problem(tuned.problems.get(("lora", "lora_targets")))
    with right:
        form.draw("lora", infos("lora", "lora_dropout"), tuned.problems, columns=1)


def choose_method() -> None:
    """Adapters have a rank from the start."""
    if st.session_state["tune-method"] == LORA and st.session_state.get("lora-lora_rank") is None:
        st.session_state["lora-lora_rank"] = FIRST_RANK


def draw_training(tuned: Tuning) -> None:
    """How long and how fast; the rest, and the model itself, behind one click each."""
    form.draw("tune", infos("tune", *BASIC), tuned.problems)
    with st.expander("More", key="tune-more", expanded=troubled("tune", tuned, BASIC)):
        st.caption("All of these begin as in the run that this one comes from.")
        form.draw("tune", [info for info in form.active("tune") if info.name not in BASIC], tuned.problems)
    with st.expander("Change the model", key="tune-model", expanded=troubled("tune_model", tuned, ())):
        st.caption("The report beside this says which tensors are kept, resized and new.")
        form.draw("tune_model", form.shown("tune_model", basic=True), tuned.problems)


def troubled(section: str, tuned: Tuning, without: tuple[str, ...]) -> bool:
    """Whether a problem is among what an expander hides."""
    return any(name == section and field not in without for name, field in tuned.problems)


def infos(section: str, *names: str) -> list[form.FieldInfo]:
    """The descriptions of some settings."""
    return [form.describe(form.SECTIONS[section])[name] for name in names]
