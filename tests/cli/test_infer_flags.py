"""What infer.py can be asked for: samplers, ends, several samples, beams, drafts, JSON lines, and what is refused."""

import json
import resource
import signal
import subprocess
import sys

import pytest
import torch

from generation.beam_search import beam_search
from generation.console import interrupt, writer
from generation.console.output import JsonOutput
from generation.generate import generate
from generation.samplers import build_samplers
from tests.cli.infer_runs import ROOT, call, make_run, refused, start
from text.tokenizer import END_OF_TEXT
from training.checkpoint import load_model, load_tokenizer_of

SMALL = ("--prompt", "To be", "--max_new_tokens", 30, "--seed", 3)


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def text_of(run, capsys, *flags):
    assert call("--checkpoint", run.path, *SMALL, *flags) == 0
    return capsys.readouterr().out


def expected(run, **settings):
    tokenizer = load_tokenizer_of(run.path)
    steps = generate(
        load_model(run.path), tokenizer.encode("To be"), max_new_tokens=30, seed=3, samplers=build_samplers(**settings)
    )
    return "To be" + tokenizer.decode([step.token for step in steps]) + "\n"


@pytest.mark.parametrize(
    ("flag", "value", "setting"),
    [
        ("--min_p", 0.9, "min_p"),
        ("--typical_p", 0.2, "typical"),
        ("--typical-p", 0.2, "typical"),
        ("--top_k", 2, "top_k"),
        ("--repetition_penalty", 3.0, "repetition_penalty"),
        ("--frequency_penalty", 2.0, "frequency_penalty"),
        ("--frequency_penalty", -2.0, "frequency_penalty"),
        ("--presence_penalty", 3.0, "presence_penalty"),
        ("--no_repeat_ngram_size", 1, "no_repeat_ngram_size"),
        ("--no_repeat_ngram", 1, "no_repeat_ngram_size"),
    ],
)
def test_a_sampler_flag_writes_what_its_sampler_writes(run, capsys, flag, value, setting):
    text = text_of(run, capsys, flag, value)
    assert text == expected(run, **{setting: value})
    assert text != expected(run)  # it does something here


def test_the_stages_are_told_in_their_order(run, capsys):
    flags = ("--typical_p", 0.9, "--min_p", 0.01, "--top_k", 20, "--min_new_tokens", 2, "--stop_token", "T",
             "--no_repeat_ngram", 4, "--presence_penalty", 0.1, "--frequency_penalty", 0.1,
             "--repetition_penalty", 1.1, "--logit_bias", "e=1")  # fmt: skip
    assert call("--checkpoint", run.path, *SMALL, *flags) == 0
    stages = (
        "bias on 1 token → repetition penalty 1.1 → frequency penalty 0.1 → presence penalty 0.1 → no 4-gram twice → "
        "at least 2 tokens → temperature 0.8 → top-k 20 → top-p 0.9 → min-p 0.01 → typical 0.9"
    )
    assert f"; {stages}; seed 3; " in capsys.readouterr().err


def test_a_text_ends_before_its_stop_string(run, capsys):
    text = text_of(run, capsys)
    stop = text[15:18]  # three tokens
    cut = text[5:].index(stop) + 5
    assert text_of(run, capsys, "--stop", "§§", "--stop", stop) == text[:cut] + "\n"


def test_a_text_ends_with_its_stop_token_and_not_before_the_minimum(run, capsys):
    text = text_of(run, capsys)
    letter = text[9]
    token = load_tokenizer_of(run.path).encode(letter)[0]
    cut = text.index(letter, 5) + 1
    assert text_of(run, capsys, "--stop_token", letter) == text[:cut] + "\n"
    assert text_of(run, capsys, "--stop_token", token) == text[:cut] + "\n"
    longer = text_of(run, capsys, "--stop_token", letter, "--min_new_tokens", 25)
    assert len(longer) >= len("To be") + 25
    assert letter not in longer[5:-2]


def test_a_text_ends_where_the_model_says_so_unless_it_is_told_to_go_on(tmp_path, capsys):
    run = make_run(tmp_path / "checkpoints", special_tokens=[END_OF_TEXT])
    end = load_tokenizer_of(run.path).end_of_text
    flags = ("--logit_bias", f"{end}=1000", "--json")
    for more, written, reason in (((), 1, "stop_token"), (("--stop_token", "none"), 30, "length")):
        assert call("--checkpoint", run.path, *SMALL, *flags, *more) == 0
        *tokens, sample = (line for line in lines(capsys) if line["event"] in ("token", "sample"))
        assert [token["token"] for token in tokens] == [end] * written and sample["end"] == reason


def test_a_bias_bars_and_forces(run, capsys):
    assert set(text_of(run, capsys, "--logit_bias", "q=1000")[5:-1]) == {"q"}
    text = text_of(run, capsys)
    barred = text[5]
    assert barred not in text_of(run, capsys, "--logit_bias", f"{barred}=-inf")[5:]


def test_a_digit_is_an_id_and_in_quotes_a_text(home, capsys):
    run = make_run(home / "checkpoints", text="To be 0123 " * 50)
    tokenizer = load_tokenizer_of(run.path)
    assert tokenizer.token_text(3) != "3"
    forced = text_of(run, capsys, "--logit_bias", "3=1000")[5:-1]
    assert set(forced) == {tokenizer.decode([3])}
    assert set(text_of(run, capsys, "--logit_bias", '"3"=1000')[5:-1]) == {"3"}


def test_samples_are_written_side_by_side(run, capsys, monkeypatch):
    sizes = []

    def watched(model, prompts, **settings):
        sizes.append(len(prompts))
        return generate_batch(model, prompts, **settings)

    generate_batch = writer.generate_batch
    monkeypatch.setattr(writer, "generate_batch", watched)
    text = text_of(run, capsys, "--num_samples", writer.BATCH + 2)
    assert sizes == [writer.BATCH, 2]
    assert text.count("\n---\nTo be") == writer.BATCH + 1


def test_samples_that_stop_early_do_not_hold_up_or_mix(run, capsys):
    alone = [text_of(run, capsys, "--stop_token", "e", "--seed", seed) for seed in range(3, 7)]
    assert len({len(text) for text in alone}) > 1
    assert text_of(run, capsys, "--stop_token", "e", "--num_samples", 4) == "---\n".join(alone)


def test_json_has_a_line_for_each_token_and_one_for_the_sample(run, capsys):
    assert call("--checkpoint", run.path, *SMALL, "--json", "--alternatives", 2) == 0
    *tokens, sample = lines(capsys)
    tokenizer = load_tokenizer_of(run.path)
    prompt = tokenizer.encode("To be")
    steps = list(
        generate(load_model(run.path), prompt, max_new_tokens=30, seed=3, samplers=build_samplers(), n_alternatives=2)
    )
    assert [line["token"] for line in tokens] == sample["tokens"] == [step.token for step in steps]
    log_probabilities = [step.log_probability for step in steps]
    assert [line["log_probability"] for line in tokens] == sample["log_probabilities"] == log_probabilities
    assert sample["log_probability"] == pytest.approx(sum(log_probabilities))
    assert "".join(line["text"] for line in tokens) == sample["text"] == tokenizer.decode(sample["tokens"])
    assert (sample["prompt"], sample["prompt_tokens"], sample["seed"]) == ("To be", prompt, 3)
    assert (sample["event"], sample["sample"], sample["end"], sample["score"]) == ("sample", 0, "length", None)
    for line, step in zip(tokens, steps, strict=True):
        assert (line["event"], line["sample"]) == ("token", 0)
        assert [(other["token"], other["probability"]) for other in line["alternatives"]] == list(step.alternatives)
        assert line["alternatives"][0]["text"] == tokenizer.token_text(line["alternatives"][0]["token"])


def test_json_of_several_samples_and_of_a_stop_string(run, capsys):
    text = text_of(run, capsys)
    assert call("--checkpoint", run.path, *SMALL, "--json", "--num_samples", 2, "--stop", text[15:18]) == 0
    samples = {line["sample"]: line for line in lines(capsys) if line["event"] == "sample"}
    assert set(samples) == {0, 1}
    cut = text[5:].index(text[15:18])
    assert (samples[0]["text"], samples[0]["end"]) == (text[5:][:cut], "stop")
    assert len(samples[0]["tokens"]) == cut + 3  # all that was drawn
    assert samples[1]["seed"] == 4


def test_beams_are_those_of_beam_search(run, capsys):
    tokenizer = load_tokenizer_of(run.path)
    ends = tokenizer.encode("e")
    flags = ("--prompt", "To be", "--num_beams", 4, "--num_samples", 2, "--stop_token", "e", "--length_penalty", 0.5,
             "--early_stopping", "on", "--repetition_penalty", 1.5)  # fmt: skip
    beams = beam_search(
        load_model(run.path), tokenizer.encode("To be"), n_beams=4, max_new_tokens=11, length_penalty=0.5,
        early_stopping=True, stop_tokens=ends, samplers=build_samplers(1, None, 1, repetition_penalty=1.5),
    )  # fmt: skip
    assert call("--checkpoint", run.path, *flags) == 0
    captured = capsys.readouterr()
    assert captured.out == "---\n".join(f"To be{tokenizer.decode(beam.tokens)}\n" for beam in beams[:2])
    assert "; repetition penalty 1.5 → 4 beams, length penalty 0.5; " in captured.err
    assert call("--checkpoint", run.path, *flags, "--json") == 0
    samples = lines(capsys)
    assert [sample["score"] for sample in samples] == [beam.score for beam in beams[:2]]
    assert [sample["log_probability"] for sample in samples] == [beam.log_probability for beam in beams[:2]]


def test_beams_need_room_in_the_window(run, capsys):
    line = refused(capsys, "--checkpoint", run.path, "--prompt", "To be", "--num_beams", 2, "--max_new_tokens", 12)
    assert "do not fit into the context of 16" in line
    assert "no room for beams" in refused(capsys, "--checkpoint", run.path, "--prompt", "be" * 8, "--num_beams", 2)


def test_a_draft_leaves_greedy_text_as_it_is_and_tells_what_it_did(run, home, capsys):
    draft = make_run(home / "checkpoints", name="small", steps=((5, 3.0),), d_model=8)
    plain = text_of(run, capsys, "--greedy")
    assert call("--checkpoint", run.path, *SMALL, "--greedy", "--draft", draft.path, "--n_draft", 3) == 0
    captured = capsys.readouterr()
    assert captured.out == plain
    assert all(part in captured.err for part in ("% of the draft accepted", "tokens a pass", "times the speed without"))
    assert call("--checkpoint", run.path, *SMALL, "--greedy", "--draft", run.path, "--max_new_tokens", 10) == 0
    assert "100% of the draft accepted, 5.00 tokens a pass" in capsys.readouterr().err


def test_a_draft_with_another_tokenizer_is_refused(run, home, capsys):
    other = make_run(home / "checkpoints", name="other", text="To be other ")
    assert "another tokenizer" in refused(capsys, "--checkpoint", run.path, "--draft", other.path)


def test_8_bits_reach_the_matrices(home, capsys):
    run = make_run(home / "checkpoints", d_model=256, d_mlp=1040, n_heads=2)
    assert text_of(run, capsys, "--quantize", "int8")
    assert call("--checkpoint", run.path, *SMALL, "--quantize", "int8", "--json") == 0
    rounded = lines(capsys)[-1]["log_probabilities"]
    assert call("--checkpoint", run.path, *SMALL, "--json") == 0
    assert rounded[0] == (exact := lines(capsys)[-1]["log_probabilities"])[0]  # the prompt is read exactly
    assert rounded[1] != exact[1]


def test_compiling_what_is_rounded_is_called_idle(home, capsys):
    run = make_run(home / "checkpoints", d_model=256, d_mlp=1040, n_heads=2)
    assert call("--checkpoint", run.path, *SMALL, "--quantize", "float16", "--compile") == 0
    assert "--compile has no effect: --quantize float16 has all large matrices\n" in capsys.readouterr().err


def test_the_window_can_roll(home, capsys):
    run = make_run(home / "checkpoints", position="rope", n_layers=2)
    assert text_of(run, capsys, "--sliding", "roll")[: 5 + 12] == text_of(run, capsys)[: 5 + 12]
    with torch.inference_mode():
        steps = generate(
            load_model(run.path), load_tokenizer_of(run.path).encode("To be"), max_new_tokens=30, seed=3,
            samplers=build_samplers(), sliding="roll",
        )  # fmt: skip
        rolled = [step.log_probability for step in steps]
    assert call("--checkpoint", run.path, *SMALL, "--sliding", "roll", "--json") == 0
    assert lines(capsys)[-1]["log_probabilities"] == rolled


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--num_beams", 2, "--stop", "x"), "num_beams 2 and stop do not work together"),
        (("--num_beams", 2, "--json", "--alternatives", 1), "num_beams 2 and alternatives"),
        (("--num_beams", 2, "--sliding", "roll"), "num_beams 2 and sliding roll"),
        (("--num_beams", 2, "--quantize", "int8"), "num_beams 2 and quantize int8"),
        (("--num_beams", 2, "--num_samples", 3), "num_samples 3 is above num_beams 2"),
        (("--num_beams", 2, "--draft", "x"), "num_beams 2 and draft"),
        (("--draft", "x", "--sliding", "roll"), "draft and sliding roll"),
        (("--draft", "x", "--quantize", "int8"), "draft and quantize int8"),
        (("--draft", "nowhere"), "nowhere"),
        (("--sliding", "roll"), "learned positions"),
        (("--logit_bias", "e"), "TOKEN=VALUE"),
        (("--logit_bias", "e=nan"), "TOKEN=VALUE"),
        (("--logit_bias", "e=1e9"), "1,000,000"),
        (("--logit_bias", "999=1"), "token 999 does not exist"),
        (("--logit_bias", "to=1"), "'to' is 2 tokens"),
        (("--stop_token", "ß"), "'ß'"),
        (("--stop", ""), "give a character"),
        (("--min_p", 2), "min_p 2.0 is above 1"),
        (("--typical_p", 0), "typical_p 0.0 must be above 0"),
        (("--repetition_penalty", 0), "repetition_penalty 0.0 must be above 0"),
        (("--repetition_penalty", -1), "repetition_penalty -1.0 must be above 0"),
        (("--frequency_penalty", "nan"), "frequency_penalty must be a finite number"),
        (("--no_repeat_ngram", -1), "no_repeat_ngram_size -1 is below 0"),
        (("--min_new_tokens", -1), "min_new_tokens -1 is below 0"),
        (("--num_beams", 0), "num_beams 0 is below 1"),
        (("--length_penalty", "inf"), "length_penalty must be a finite number"),
        (("--n_draft", 0), "n_draft 0 is below 1"),
        (("--tokenizer_type", "bpe"), "tokenizer_type bpe is not that of this run, character"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, capsys, flags, part):
    assert part in refused(capsys, "--checkpoint", run.path, *flags)


def test_wrong_values_and_conflicts_do_not_wait_for_torch(run):
    code = "import sys, infer; infer.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for flags in (["--top_p", "7"], ["--num_beams", "2", "--stop", "x"], ["--logit_bias", "999=1"]):
        command = [sys.executable, "-c", code, "--checkpoint", str(run.path), *flags]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, text=True, check=True)
        assert len(ran.stderr.splitlines()) == 1, ran.stderr


@pytest.mark.parametrize(
    ("flags", "idle"),
    [
        (("--greedy", "--min_p", 0.1), "--min_p has no effect: --greedy always takes"),
        (("--temperature", 0, "--top_p", 0.5), "--top_p has no effect: --temperature 0"),
        (("--num_beams", 2, "--seed", 1), "--seed has no effect: beam search draws nothing"),
        (("--length_penalty", 2), "--length_penalty has no effect"),
        (("--early_stopping", "on"), "--early_stopping has no effect"),
        (("--n_draft", 2), "--n_draft has no effect"),
        (("--alternatives", 2), "--alternatives has no effect: they come with --json"),
        (("--min_new_tokens", 2), "--min_new_tokens has no effect"),
        (("--quantize", "int8"), "--quantize int8 has no effect"),
        (("--quantize", "int8", "--compile"), "--compile has no effect"),
        (("--text_file", "x"), "--text_file has no effect"),
    ],
)
def test_what_has_no_effect_is_told(run, capsys, flags, idle):
    assert call("--checkpoint", run.path, "--max_new_tokens", 2, *flags) == 0
    assert idle in capsys.readouterr().err


def test_an_effective_setting_is_not_called_idle(run, capsys):
    flags = ("--min_new_tokens", 2, "--stop_token", "e", "--top_k", 3, "--json", "--alternatives", 1)
    assert call("--checkpoint", run.path, "--max_new_tokens", 2, *flags) == 0
    assert "no effect" not in capsys.readouterr().err


def test_ctrl_c_ends_all_samples_with_what_they_have(run):
    flags = ("--max_new_tokens", 10_000_000, "--num_samples", 2, "--json")
    # Without a buffer: communicate would pass over what readline has taken into it beyond the line.
    process = start("--checkpoint", run.path, *flags, bufsize=0)
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0
    found = [json.loads(line) for line in (first + out).splitlines()]
    assert [(line["sample"], line["end"]) for line in found[-2:]] == [(0, "interrupted"), (1, "interrupted")]
    assert found[-2]["tokens"] == [line["token"] for line in found[:-2] if line["sample"] == 0]
    assert b"stopped" in err and b"Traceback" not in err


def test_ctrl_c_never_falls_within_a_token(run, capsys, monkeypatch):
    shown = []

    def interrupted(output, sample, step):
        show(output, sample, step)
        shown.append(step.token)
        if len(shown) == 5:  # the first of two samples, in the third place
            signal.raise_signal(signal.SIGINT)

    show = JsonOutput.token
    monkeypatch.setattr(JsonOutput, "token", interrupted)
    assert call("--checkpoint", run.path, *SMALL, "--num_samples", 2, "--json") == 0
    *tokens, first, second = lines(capsys)
    for sample in (first, second):
        seen = [line for line in tokens if line["sample"] == sample["sample"]]
        assert sample["tokens"] == [line["token"] for line in seen] and len(seen) == 3
        assert sample["text"] == "".join(line["text"] for line in seen) and sample["end"] == "interrupted"


def test_ctrl_c_at_the_end_of_the_texts_leaves_every_line(run, capsys, monkeypatch):
    def interrupted(output, sample):
        if sample.number == 0:
            signal.raise_signal(signal.SIGINT)
        finish(output, sample)

    finish = JsonOutput.finish
    monkeypatch.setattr(JsonOutput, "finish", interrupted)
    assert call("--checkpoint", run.path, *SMALL, "--num_samples", 2, "--json") == 0
    *_, first, second = lines(capsys)
    assert [(line["sample"], line["end"]) for line in (first, second)] == [(0, "length"), (1, "length")]


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), interrupt.held_back():
        signal.raise_signal(signal.SIGINT)
        reached = True
        signal.raise_signal(signal.SIGINT)
        reached = False
    assert reached
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_pipe_that_closes_is_no_error_for_json(run):
    process = start("--checkpoint", run.path, "--max_new_tokens", 10_000_000, "--json")
    assert process.stdout.read(10) == b'{"event": '
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=300) == 0
    assert err == b""


def cpu_seconds(*command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True, timeout=300, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_starting_costs_little_more_than_importing_torch(run):
    """The first token of a tiny model within 3 s: importing torch takes two, torch's compiler would take 1.6 more."""
    pairs = [
        (cpu_seconds("infer.py", "--checkpoint", run.path, "--max_new_tokens", 1), cpu_seconds("-c", "import torch"))
        for _ in range(2)
    ]
    assert min(ours / torchs for ours, torchs in pairs) < 1.6


def test_torchs_compiler_stays_out(run):
    code = (
        "import sys, infer; assert infer.main(sys.argv[1:]) == 0; "
        "assert 'torch' in sys.modules and not {'torch._dynamo', 'torch._inductor', 'sympy'} & sys.modules.keys()"
    )
    command = [sys.executable, "-c", code, "--checkpoint", str(run.path), "--max_new_tokens", "3", "--draft",
               str(run.path)]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, timeout=300)
