"""infer.py as a person or a script uses it: what it prints where, how it ends, and what it says to bad input."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import infer
from generation.generate import generate
from generation.samplers import build_samplers
from runs.checkpoints import WEIGHTS, write_commit
from runs.files import write_json
from tests.cli.infer_runs import call, make_run, refused, start
from text.tokenizer_types import load_tokenizer

ROOT = Path(__file__).parent.parent.parent


def test_text_goes_to_stdout_and_everything_else_to_stderr(run):
    process = start("--checkpoint", run.path, "--prompt", "To be", "--max_new_tokens", 30, "--seed", 3, cwd=run.path)
    out, err = (stream.decode() for stream in process.communicate(timeout=300))
    assert process.returncode == 0
    assert out.startswith("To be")
    assert len(out) == len("To be") + 30 + len("\n")
    (statistics,) = err.splitlines()
    assert all(part in statistics for part in ("30 tokens", "tokens/s", "temperature 0.8 → top-p 0.9", "seed 3"))
    assert str(run.step_path(2)) in statistics


def test_it_prints_what_generate_gives(run, capsys):
    from training.checkpoint import load_model, load_tokenizer_of

    assert call("--checkpoint", run.path, "--prompt", "To be", "--max-new-tokens", 40, "--seed", 9, "--top-k", 5) == 0
    model, tokenizer = load_model(run.path), load_tokenizer_of(run.path)
    samplers = build_samplers(temperature=0.8, top_k=5, top_p=0.9)
    steps = generate(model, tokenizer.encode("To be"), max_new_tokens=40, samplers=samplers, seed=9)
    assert capsys.readouterr().out == "To be" + tokenizer.decode([step.token for step in steps]) + "\n"


def test_200_tokens_by_default_and_a_seed_that_can_be_repeated(run, capsys):
    assert call("--checkpoint", run.path) == 0
    first = capsys.readouterr()
    assert len(first.out) == 200 + len("\n")
    seed = first.err.split("seed ")[1].split(";")[0]
    assert call("--checkpoint", run.path) == 0
    assert capsys.readouterr().out != first.out
    assert call("--checkpoint", run.path, "--seed", seed) == 0
    assert capsys.readouterr().out == first.out


def test_samples_differ_and_each_can_be_had_alone(run, capsys):
    flags = ("--checkpoint", run.path, "--prompt", "To", "--max_new_tokens", 20)
    assert call(*flags, "--seed", 5, "--num_samples", 3) == 0
    captured = capsys.readouterr()
    samples = captured.out.split("\n---\n")
    assert "60 tokens" in captured.err
    assert len({*samples}) == 3
    assert call(*flags, "--seed", 6) == 0
    assert capsys.readouterr().out == samples[1] + "\n"


@pytest.mark.parametrize("flags", [("--greedy",), ("--temperature", "0")])
def test_greedy_is_the_same_for_every_seed(run, capsys, flags):
    texts = set()
    for seed in (1, 2):
        assert call("--checkpoint", run.path, "--max_new_tokens", 20, "--seed", seed, *flags) == 0
        captured = capsys.readouterr()
        texts.add(captured.out)
        assert "; greedy; " in captured.err
    assert len(texts) == 1


def test_a_setting_without_effect_is_told(run, capsys):
    assert call("--checkpoint", run.path, "--max_new_tokens", 1, "--greedy", "--top_k", 5) == 0
    assert "--top_k has no effect" in capsys.readouterr().err


def test_a_prompt_longer_than_the_window_is_told(run, capsys):
    assert call("--checkpoint", run.path, "--max_new_tokens", 1, "--prompt", "to be " * 5) == 0
    assert "30 tokens; the model sees the last 16" in capsys.readouterr().err


def test_characters_cut_by_the_tokenizer_come_out_whole(home, capsys):
    from training.checkpoint import load_model

    run = make_run(home / "checkpoints", tokenizer_type="bpe")  # nearly only bytes, in an untrained model's order
    assert (
        call("--checkpoint", run.path, "--prompt", "漢", "--max_new_tokens", 600, "--temperature", 1, "--seed", 1) == 0
    )
    tokenizer = load_tokenizer(run.tokenizer_path)
    samplers = build_samplers(temperature=1, top_p=0.9)
    steps = generate(load_model(run.path), tokenizer.encode("漢"), max_new_tokens=600, samplers=samplers, seed=1)
    tokens = [step.token for step in steps]
    text, token_by_token = tokenizer.decode(tokens), "".join(tokenizer.decode([token]) for token in tokens)
    assert text != token_by_token  # some characters do come in parts
    assert capsys.readouterr().out == "漢" + text + "\n"


def test_every_way_to_name_a_checkpoint(home):
    run = make_run(home / "checkpoints", steps=((2, 4.0), (4, 3.0), (6, 3.5)))
    best, last = run.step_path(4), run.step_path(6)
    for way in (run.path, run.id, "hopeful heron", f"checkpoints/{run.id}", f"checkpoints/{run.id}/"):
        assert infer.find_checkpoint(str(way)).absolute() == best
    for way in (last, last / WEIGHTS, f"checkpoints/{run.id}/step_00000006/"):
        assert infer.find_checkpoint(str(way)).absolute() == last


def test_of_damaged_checkpoints_the_next_best_is_taken(home):
    run = make_run(home / "checkpoints", steps=((2, 4.0), (4, 3.0)))
    (run.step_path(4) / WEIGHTS).write_bytes(b"damaged")
    assert infer.find_checkpoint(run.id) == run.step_path(2)


def test_nothing_there(home, capsys):
    assert "nowhere/run" in refused(capsys, "--checkpoint", "nowhere/run")
    assert "20200101000000" in refused(capsys, "--checkpoint", "20200101000000")
    assert "\x00" not in refused(capsys, "--checkpoint", "a\0b")
    (home / "empty").mkdir()
    assert "empty" in refused(capsys, "--checkpoint", home / "empty")


def test_a_file_name_of_other_programs_leads_to_the_run_folder(run, capsys):
    assert "name the run folder itself" in refused(capsys, "--checkpoint", run.path / "final_model.pt")


def test_a_run_without_checkpoint(home, capsys):
    run = make_run(home / "checkpoints", steps=())
    assert "no checkpoint yet" in refused(capsys, "--checkpoint", run.id)


def test_a_checkpoint_without_weights(run, capsys):
    (run.step_path(2) / WEIGHTS).unlink()
    assert WEIGHTS in refused(capsys, "--checkpoint", run.step_path(2))


def test_truncated_weights(run, capsys):
    weights = run.step_path(2) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    assert str(run.step_path(2)) in refused(capsys, "--checkpoint", weights)


def test_weights_that_do_not_fit_the_configuration(run, capsys):
    write_json(run.data_path, {"d_vocab": 7})
    assert "does not fit" in refused(capsys, "--checkpoint", run.path)


def test_a_checkpoint_without_its_run(run, home, capsys):
    run.step_path(2).rename(home / "step_00000002")
    assert "config.json" in refused(capsys, "--checkpoint", home / "step_00000002")


class Trap:
    """Unpickling it makes a file."""

    def __reduce__(self):
        return (os.mkdir, ("executed",))


@pytest.mark.parametrize("record", ["old", "of the pickle"])
def test_a_pickle_posing_as_a_checkpoint_is_never_executed(run, capsys, record):
    weights = run.step_path(2) / WEIGHTS
    weights.write_bytes(pickle.dumps(Trap()))
    if record == "of the pickle":  # a forger would write the hash as well
        write_commit(run.step_path(2), step=2)
    refused(capsys, "--checkpoint", run.path)
    refused(capsys, "--checkpoint", weights)
    assert not Path("executed").exists()


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_pickle_elsewhere_is_never_executed(home, capsys, name):
    torch.save({"weights": Trap()}, home / name)
    assert "pickle" in refused(capsys, "--checkpoint", home / name).lower()
    assert not Path("executed").exists()


def test_characters_the_tokenizer_has_never_seen_are_named(run, capsys):
    line = refused(capsys, "--checkpoint", run.path, "--prompt", "to ß")
    assert "'ß'" in line
    assert "prompt" in line


def test_bytes_that_are_no_text(run):
    process = start("--checkpoint", run.path, "--prompt", b"to \xff".decode(errors="surrogateescape"))
    out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (2, b"")
    assert b"prompt" in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    "flags",
    [
        ("--temperature", "-1"),
        ("--temperature", "nan"),
        ("--top_p", "1.5"),
        ("--top_k", "-1"),
        ("--max_new_tokens", "0"),
        ("--num_samples", "0"),
        ("--seed", "-1"),
        ("--prompt", "ß"),
    ],
)
def test_a_wrong_value_is_named(run, capsys, flags):
    assert flags[1] in refused(capsys, "--checkpoint", run.path, *flags)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that must be missing")
def test_a_device_that_is_not_there(run, capsys):
    assert "cuda" in refused(capsys, "--checkpoint", run.path, "--device", "cuda")


@pytest.mark.parametrize("flags", [(), ("--checkpoint", "x", "--top_q", "1"), ("--checkpoint", "x", "--seed", "one")])
def test_wrong_usage(home, capsys, flags):
    with pytest.raises(SystemExit) as ended:
        call(*flags)
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_help_and_refusals_do_not_wait_for_torch(run):
    code = "import sys, infer; infer.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    for flags in (["--checkpoint", "nothing/here"], ["--checkpoint", str(run.path), "--prompt", "ß"]):
        subprocess.run([sys.executable, "-c", code, *flags], check=True, cwd=ROOT, capture_output=True, timeout=300)


def test_ctrl_c_keeps_what_was_written(run):
    process = start("--checkpoint", run.path, "--prompt", "To be", "--max_new_tokens", 10_000_000)
    assert process.stdout.read(50).startswith(b"To be")  # the text streams: it did not wait for the end
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert out.endswith(b"\n")
    assert b"stopped" in err
    assert b"tokens/s" in err
    assert b"Traceback" not in err


def test_a_reader_that_has_enough_is_no_error(run):
    process = start("--checkpoint", run.path, "--prompt", "To be", "--max_new_tokens", 10_000_000)
    assert process.stdout.read(5) == b"To be"
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=300) == 0
    assert b"Traceback" not in err
    assert b"Broken" not in err


def test_a_damaged_best_checkpoint_is_passed_over_aloud(home, capsys):
    run = make_run(home / "checkpoints", steps=((2, 1.0), (4, 2.0)))
    weights = run.step_path(2) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-10])
    for named in (run.path, "hopeful heron"):
        assert call("--checkpoint", named, "--max_new_tokens", 1) == 0
        said = capsys.readouterr().err.splitlines()[0]
        assert said.startswith("infer.py: passed over") and "step_00000004 is used instead. step_00000002: " in said


def test_a_wrong_flag_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as exit_:
        call("--checkpont", "x")
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
