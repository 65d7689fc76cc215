"""The five questions of a chapter, with an answer to every answer."""

from typing import Any

import streamlit as st

from ui import learn_progress


@st.fragment
def draw(chapter: Any) -> None:
    """All questions one below the other; each answers at once, and what was right is remembered."""
    quiz = chapter.quiz()
    known = learn_progress.read().get(chapter.slug, [])
    right = sum(number in known for number in range(len(quiz)))
    st.caption(f"{right} of {len(quiz)} answered" if right < len(quiz) else "All five answered: this chapter is done.")
    for number, question in enumerate(quiz):
        chosen = st.radio(
            f"**{number + 1}.** {question.ask}",
            question.choices,
            index=question.answer if number in known else None,
            key=f"quiz-{chapter.slug}-{number}",
            persist_state="session",
        )
        if chosen is None:
            continue
        if question.choices.index(chosen) == question.answer:
            st.success(f"Right. {question.why}", icon=":material/check:")
            if number not in known:
                problem = learn_progress.remember(chapter.slug, number)
                if problem:
                    st.warning(problem)
        else:
            st.info("Not this one. Look at the formula again, and choose another.", icon=":material/undo:")
