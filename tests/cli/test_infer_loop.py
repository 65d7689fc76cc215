"""The interactive loop of infer.py: texts, commands, pastes and Ctrl-C."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from generation.compiled import kernel
from generation.generate import generate
from generation.samplers import build_samplers
from tests.cli.infer_runs import ROOT, call, make_run
from training.checkpoint import load_model, load_tokenizer_of

N_TOKENS = 8


@pytest.fixture
def enter(run, monkeypatch, capsys):
    """Feeds entries to the loop as a script does; returns the text and the lines told beside it."""

    def entered(*entries, flags=("--seed", 3), ending="\n"):
        data = ("\n".join(entries) + ending).encode(errors="surrogateescape")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        assert call("--checkpoint", run.path, "--interactive", "--max_new_tokens", N_TOKENS, *flags) == 0
        captured = capsys.readouterr()
        return captured.out, captured.err.splitlines()[1:]  # the first says how to get help

    return entered


def written(run, prompt, seed=3, **settings):
    """What generate adds to a prompt, given as text or tokens, and all tokens."""
    tokenizer = load_tokenizer_of(run.path)
    tokens = tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    chain = build_samplers(**settings)
    steps = [
        step.token
        for step in generate(load_model(run.path), tokens, max_new_tokens=N_TOKENS, samplers=chain, seed=seed)
    ]
    return tokenizer.decode(steps), tokens + steps


def test_each_line_is_continued_with_the_next_seed(run, enter):
    out, told = enter("To be", "or not")
    assert out == f"To be{written(run, 'To be')[0]}\nor not{written(run, 'or not', seed=4)[0]}\n"
    assert [re.search(r"seed (\d+)", line)[1] for line in told] == ["3", "4"]


def test_a_prompt_on_the_command_line_comes_first(run, enter):
    out, _ = enter("/quit", flags=("--seed", 3, "--prompt", "To be"))
    assert out == f"To be{written(run, 'To be')[0]}\n"


def test_an_empty_line_goes_on_with_the_last_text(run, enter):
    out, _ = enter("To be", "", "/reset", "/seed 9", "")
    text, tokens = written(run, "To be")
    more, _ = written(run, tokens, seed=4)
    nothing, _ = written(run, "\n", seed=9)  # after /reset there is no last text
    assert out == f"To be{text}\n{more}\n{nothing}\n"


def test_settings_change_and_come_back(run, enter):
    out, _ = enter("/set top_k 2", "/set --temperature 1.5", "/set seed 3", "To be", "/reset", "To be")
    changed, _ = written(run, "To be", top_k=2, temperature=1.5)
    assert changed != written(run, "To be")[0]
    assert out == f"To be{changed}\nTo be{written(run, 'To be')[0]}\n"


def test_lists_are_set_and_cleared(run, enter):
    text, _ = written(run, "To be")
    out, _ = enter(f'/set stop "{text[4:6]}"', "To be", "/seed 3", "/set stop", "To be")
    assert out == f"To be{text[: text.index(text[4:6])]}\nTo be{text}\n"
    out, _ = enter("/set logit_bias q=1000 e=-inf", "To be")
    assert out == f"To be{'q' * N_TOKENS}\n"
    out, told = enter(r"/set stop \n\n", "/show")
    assert r"* stop '\n\n'" in told


def test_a_seed_can_be_set_and_made_random_again(enter):
    out, _ = enter("To", "/seed 3", "To", "/seed", "To", "To", flags=("--seed", 3, "--logit_bias", "\n=-inf"))
    texts = out.splitlines()
    assert texts[0] == texts[1]
    assert len(set(texts[1:])) == 3


def test_show_lists_settings_and_stages(enter):
    _, told = enter("/set min_p 0.1", "/set greedy on", "/set greedy off", "/show")
    assert "* min_p 0.1" in told
    assert "* seed 3" in told
    assert "  greedy off" in told
    assert told[-1] == "stages: temperature 0.8 → top-p 0.9 → min-p 0.1"


def test_help_names_every_command(enter):
    _, told = enter("/help")
    assert [line.split()[0] for line in told] == ["/set", "/show", "/seed", "/reset", "/help", "/quit"]


def test_quit_leaves_and_so_does_the_end_of_the_input(run, enter):
    out, _ = enter("/quit", "To be")
    assert out == ""
    out, _ = enter("To be", ending="")
    assert out == f"To be{written(run, 'To be')[0]}\n"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("/bogus", "there is no command /bogus: /help lists them"),
        ("/", "there is no command /: /help lists them"),
        ("/set temprature 1", "there is no setting 'temprature': did you mean temperature?"),
        ("/set", "there is no setting ''; see /show"),
        ("/set temperature", "temperature needs a value, as in /set temperature 0.8"),
        ("/set greedy", "greedy needs a value, as in /set greedy off"),
        ("/set temperature hot", "temperature must be a number, not 'hot'"),
        ("/set temperature -1", "temperature -1.0 is below 0, the least possible"),
        ("/set top_p 7", "top_p 7.0 is above 1: it is a probability"),
        ("/set quantize int4", "quantize 'int4' is not one of none, float16, int8"),
        ("/set num_samples 0", "num_samples 0 is below 1, the least possible"),
        ('/set stop "a', "stop: No closing quotation"),
        ('/set stop ""', "stop '' would end every text at once: give a character"),
        ("/set stop_token to", "stop_token: 'to' is 2 tokens, not one"),
        ("/seed x", "seed must be a whole number, not 'x'"),
        ("/quit now", "/quit takes no words after it, not 'now'"),
        ("/set n_draft 2", "n_draft has no effect now: there is no --draft"),
        ("ß", "'ß'"),
        (b"to \xff".decode(errors="surrogateescape"), "half of a surrogate pair"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_changes_nothing(run, enter, entry, sentence):
    out, told = enter(entry, "To be")
    assert sentence in told[0]
    assert len(told) == 2  # the other is the statistics
    assert out == f"To be{written(run, 'To be')[0]}\n"


def test_what_excludes_something_else_is_refused_when_it_is_set(run, enter):
    out, told = enter("/set stop zzz", "/set num_beams 2", "To be")
    assert told[0] == "num_beams 2 and stop do not work together: leave one out"
    assert out == f"To be{written(run, 'To be')[0]}\n"


def test_without_a_compiler_it_cannot_be_asked_for(run, enter, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    kernel.cache_clear()
    out, told = enter("/set compile on", "To be")
    assert told[0] == "compile needs a C compiler that works, and there is none (no-such-compiler)" and len(told) == 2
    assert out == f"To be{written(run, 'To be')[0]}\n"


def test_a_policy_that_this_model_cannot_follow_does_not_end_the_loop(run, enter):
    out, told = enter("/set sliding roll", "To be", "/set sliding reencode", "To be")
    assert "cached keys of learned positions cannot move" in told[0]
    assert out == f"To be{written(run, 'To be')[0]}\n"


def test_a_text_that_begins_with_a_slash_has_two(home, enter, run, monkeypatch, capsys):
    slashed = make_run(home / "checkpoints", text="/To be " * 50, name="slashes")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"//To\n"), encoding="utf-8"))
    assert call("--checkpoint", slashed.path, "--interactive", "--max_new_tokens", 3) == 0
    assert capsys.readouterr().out.startswith("/To")


class Terminal:
    """infer.py on a terminal of its own: what a person types, and what they see."""

    def __init__(self, run, *flags):
        self.screen, side = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "infer.py"), "--checkpoint", str(run.path), "--interactive", *map(str, flags)],
            stdin=side, stdout=side, stderr=side, env=os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm"},
            start_new_session=True,
        )  # fmt: skip
        os.close(side)
        self.seen = ""

    def wait_for(self, text, seconds=60):
        """What was seen up to this text; it counts once."""
        until = time.monotonic() + seconds
        while text not in self.seen:
            assert select.select([self.screen], [], [], max(0, until - time.monotonic()))[0], self.seen
            self.seen += os.read(self.screen, 4096).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.screen, text.encode())

    def leave(self):
        """Ctrl-D at the prompt."""
        self.wait_for("> ")
        self.type("\x04")
        assert self.end() == 0

    def end(self):
        status = self.process.wait(timeout=60)
        os.close(self.screen)
        return status


@pytest.mark.parametrize("paste", ["To be\nor not\n", "\x1b[200~To be\nor not\x1b[201~\r"], ids=["plain", "bracketed"])
def test_a_paste_of_several_lines_is_one_text_and_lines_come_back(run, paste):
    terminal = Terminal(run, "--max_new_tokens", N_TOKENS, "--greedy")
    terminal.wait_for("> ")
    terminal.type(paste)
    seen = terminal.wait_for("tokens/s")
    assert "To be\r\nor not" + written(run, "To be\nor not", greedy=True)[0].replace("\n", "\r\n") in seen
    assert f"{N_TOKENS} tokens" in seen
    terminal.wait_for("> ")
    terminal.type("that is\n")
    terminal.wait_for("tokens/s")
    terminal.wait_for("> ")
    terminal.type("\x1b[A\n")  # arrow up: the last entry again
    assert "that is" + written(run, "that is", greedy=True)[0].replace("\n", "\r\n") in terminal.wait_for("tokens/s")
    terminal.leave()


def test_ctrl_c_stops_a_text_and_a_second_one_leaves(run):
    terminal = Terminal(run, "--max_new_tokens", 10_000_000)
    terminal.wait_for("> ")
    terminal.type("To be\n")
    terminal.wait_for("To be")
    terminal.wait_for("To be")  # the echo, then the text
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGINT)
    assert "tokens/s" in terminal.wait_for("stopped; Ctrl-C again leaves")
    terminal.wait_for("> ")
    terminal.type("/set max_new_tokens 5\n")  # it goes on
    terminal.wait_for("> ")
    terminal.type("or not\n")
    terminal.wait_for("5 tokens in")
    terminal.wait_for("> ")
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for("Ctrl-C again leaves")
    time.sleep(0.5)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0
    assert "Traceback" not in terminal.seen


def test_one_ctrl_c_that_arrives_twice_is_one(run):
    terminal = Terminal(run, "--max_new_tokens", 5)
    terminal.wait_for("> ")
    time.sleep(0.5)
    for _ in range(2):
        terminal.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    terminal.wait_for("Ctrl-C again leaves")
    terminal.type("To be\n")
    terminal.wait_for("5 tokens in")
    terminal.leave()
