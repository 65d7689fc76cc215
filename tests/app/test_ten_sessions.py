"""Ten sessions at once: no text mixes with another, and memory does not grow with what was written."""

import gc
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from streamlit.testing.v1 import AppTest

from tests.app.fake_runs import add_checkpoint, make_run
from ui import generation_engine as engine
from ui import writing
from ui.sampler_settings import SamplerSettings
from ui.writing import Writing, joined

ROOT = Path(__file__).parents[2]
SESSIONS, TOKENS, MEGABYTE = 10, 20, 1_000_000


@pytest.fixture
def checkpoint(checkpoints):
    return str(add_checkpoint(make_run(checkpoints)))


def begin(path: str, seed: int, samples: int = 1, tokens: int = TOKENS) -> Writing:
    stamp = engine.checkpoint_stamp(path)
    settings = SamplerSettings(seed=seed, samples=samples, max_new_tokens=tokens, repetition_penalty=1.1)
    prompt = engine.check_prompt(path, stamp, "First").tokens
    return engine.write(path, stamp, prompt, ((),) * samples, settings)


def end_all(texts: list[Writing]) -> list[list[str]]:
    deadline = time.monotonic() + 120
    while sum(text.look().active for text in texts):  # not any(): every one is looked at, or it would be abandoned
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert {text.look().state for text in texts} == {"finished"}
    return [[joined(pieces) for pieces in text.look().texts] for text in texts]


def test_ten_texts_at_once_are_those_that_each_would_be_alone(checkpoint):
    alone = [end_all([begin(checkpoint, seed, samples=2)])[0] for seed in range(SESSIONS)]
    together = end_all([begin(checkpoint, seed, samples=2) for seed in range(SESSIONS)])
    assert together == alone and len({text for texts in alone for text in texts}) == SESSIONS + 1  # seeds overlap


def tensors() -> int:
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def threads() -> int:
    return sum(thread.name == "writing" for thread in threading.enumerate())


def test_what_was_written_leaves_neither_tensors_nor_threads_nor_memory(checkpoint):
    on_the_desk = []  # sessions hold on to their texts

    def once(first_seed: int) -> None:
        texts = [begin(checkpoint, first_seed + seed, samples=4) for seed in range(SESSIONS)]
        on_the_desk.extend(texts)
        end_all(texts[: SESSIONS // 2])
        for text in texts[SESSIONS // 2 :]:
            text.stop()
        deadline = time.monotonic() + 30
        while threads():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    once(0)
    before, resident = tensors(), psutil.Process().memory_info().rss
    for number in range(1, 4):
        once(100 * number)
    assert tensors() == before
    assert psutil.Process().memory_info().rss - resident < 20 * MEGABYTE


def test_a_text_of_a_closed_tab_ends_and_lets_the_next_one_in(checkpoint, monkeypatch):
    monkeypatch.setattr(writing, "ABANDONED_SECONDS", 0.3)
    closed = begin(checkpoint, 1, tokens=5_000)
    after = begin(checkpoint, 2, tokens=5)
    assert len(end_all([after])[0][0]) == 5
    assert closed.look().state == "abandoned" and closed.look().count < 5_000


def test_ten_pages_at_once_show_each_its_own_text(checkpoint):
    expected = [end_all([begin(checkpoint, seed)])[0][0] for seed in range(1, SESSIONS + 1)]
    assert len(set(expected)) == SESSIONS
    apps = [AppTest.from_file(ROOT / "main.py", default_timeout=60) for _ in range(SESSIONS)]
    for seed, app in enumerate(apps, start=1):
        app.run()
        app.switch_page("pages/generate_text.py").run()
        app.text_area(key="prompt").set_value("First")
        app.number_input(key="seed").set_value(seed)
        app.number_input(key="max_new_tokens").set_value(TOKENS)
        app.slider(key="sampler_repetition_penalty").set_value(1.1)
        app.run()
    for app in apps:
        app.button(key="generate").click().run()
    sheets = [app.session_state["sheet"] for app in apps]
    assert end_all([sheet.writing for sheet in sheets]) == [[text] for text in expected]
    for app, text in zip(apps, expected, strict=True):
        app.run()
        assert not app.exception
        (view,) = [part for part in app.get("bidi_component") if part.proto.component_name == "llm_tokens"]
        assert text.replace("\n", "\\n") in view.proto.json
