"""The right side of Fine-tune: what the new run takes over, what it trains, and the button."""

import html

import streamlit as st

from ui import readiness, tuning
from ui.starting import start_run
from ui.tuning import Tuning
from ui.tuning_engine import TuneFacts
from ui.words import count, counted, literal

NAMES = {"tune_model": "Model", "tune_data": "Text", "tune": "Training", "lora": "LoRA"}
FATES = {
    "kept": "the same shape: the parent's numbers",
    "resized": "another length: what means the same is kept",
    "new": "begin as in a new model",
    "left behind": "have no place in the new model",
}


def draw(tuned: Tuning) -> None:
    """The card beside the form."""
    with st.container(border=True, key="tune-ready", gap="small"):
        if tuned.config and tuned.facts:
            draw_report(tuned, tuned.facts)
        else:
            draw_problems(tuned)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Start fine-tuning", type="primary", icon=":material/play_arrow:", key="tune-start",
                disabled=tuned.config is None, on_click=start, args=(tuned,),
            )  # fmt: skip
            if ahead := readiness.next_in_front():
                name = literal(ahead.read_label().name)
                st.caption(f"This one will be queued behind **{name}** and starts by itself.")
        if tuned.config:
            with st.expander("The same as a command", icon=":material/terminal:", key="tune-command"):
                st.code(tuning.command_of(tuned), language="bash")
        if problem := st.session_state.pop("tune-start-problem", None):
            st.error(literal(problem))


def draw_report(tuned: Tuning, facts: TuneFacts) -> None:
    """What is trained, where it begins, what becomes of tokenizer and tensors."""
    st.markdown(f"**{trained_line(facts)}**")
    lines = [begin_line(tuned, facts), facts.tokenizer[:1].upper() + facts.tokenizer[1:] + ".", *facts.notes]
    st.html("".join(f'<p class="fact">{html.escape(line)}</p>' for line in lines))
    if facts.fates:
        with st.container(horizontal=True, gap="small", key="tune-fates"):
            for fate, amount in facts.fates:
                st.badge(
                    f"{counted(amount, 'tensor')} {fate}", help=FATES[fate],
                    color="gray" if fate == "kept" else "orange",
                )  # fmt: skip
    if facts.changed:
        with st.expander("Tensors that change", key="tune-tensors"):
            st.dataframe(
                [{"Tensor": tensor.name, "Becomes": tensor.fate, "Shape": tensor.shape,
                  "Kept": f"{tensor.kept_share:.0%}" if tensor.kept_share else "–"} for tensor in facts.changed],
                hide_index=True, key="tune-tensor-table", alt="Tensors that are resized, new or left behind.",
            )  # fmt: skip
    if facts.example[0]:
        st.caption("The first pair as the model reads it, and what of it is learned:")
        st.code(facts.example[0], language=None, wrap_lines=True)
        st.code(facts.example[1], language=None, wrap_lines=True)


def trained_line(facts: TuneFacts) -> str:
    """All 1.1 M parameters are trained; 18 k numbers of adapters beside 1.1 M frozen ones, 1.7 %."""
    if facts.trained == facts.parameters:
        return f"All {count(facts.parameters)} parameters are trained"
    share = facts.trained / (facts.trained + facts.parameters)
    frozen = count(facts.parameters)
    return f"{count(facts.trained)} numbers of adapters are trained beside {frozen} frozen ones: {share:.2%} of all"


def begin_line(tuned: Tuning, facts: TuneFacts) -> str:
    """Where the run begins."""
    name, step = tuned.parent.read_label().name, tuned.checkpoint.step
    if facts.carried == "all":
        return f"It goes on at step {step:,} of {name}, with its optimizer, random state and place in the text."
    return f"It begins at step 0 with the weights of {name} at step {step:,}: {facts.why_not_all}."


def draw_problems(tuned: Tuning) -> None:
    """What stands in the way."""
    st.markdown(f"**{counted(len(tuned.problems), 'thing')} to do before this can start**")
    items = "".join(
        f"<li><b>{NAMES[section]}</b> {html.escape(message)}</li>" for (section, _), message in tuned.problems.items()
    )
    st.html(f'<ul class="problems">{items}</ul>')


def start(tuned: Tuning) -> None:
    """Start the run and put it into the address, so that this page shows it at once."""
    assert tuned.config is not None
    run, problem = start_run(tuned.config, tuning.command_of(tuned))
    if run:
        st.query_params.clear()
        st.query_params["run"] = run.id
    else:
        st.session_state["tune-start-problem"] = problem
