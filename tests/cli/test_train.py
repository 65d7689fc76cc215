"""train.py as people and scripts use it: exit status, the last line on stdout, one clear sentence for bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import train
from config.errors import ConfigError
from config.run_config import RunConfig
from runs import control
from runs.files import read_json
from runs.folder import RunFolder, list_runs
from runs.state import read_status

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--d_model", "16", "--n-layers", "1", "--n_heads", "2", "--d_mlp", "32", "--n_ctx", "16", "--eval_iters", "1",
         "--sample_tokens", "5", "--warmup-steps", "1", "--device", "cpu", "--data_size", "20k",
         "--baselines", "off"]  # fmt: skip


@pytest.fixture
def config_of():
    """The configuration that a command line means."""
    return lambda *flags: train.configure(train.build_parser().parse_args(flags))


def call(tmp_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "train.py", "--checkpoints", str(tmp_path / "checkpoints"), *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=120)


def test_no_flags_mean_a_small_gpt_on_training_txt(config_of):
    config = config_of()
    assert (config.preset, config.size, config.implementation) == ("gpt2", "small", "fused")
    assert (config.model.d_model, config.data.text_file, config.data.tokenizer_type) == (
        256,
        "training.txt",
        "character",
    )


def test_every_setting_is_a_flag_in_both_spellings_and_wins_over_the_preset(config_of):
    config = config_of(
        "--architecture", "LLAMA", "--model-size", "tiny", "--position", "alibi", "--tie-embeddings", "on",
        "--n_kv_heads", "2", "--max_steps", "7", "--warmup-steps", "0", "--vocab_size", "300",
        "--tokenizer_type", "bpe", "--compile", "--use_einops",
    )  # fmt: skip
    model = config.model
    assert (model.position, model.tie_embeddings, model.kv_heads, model.norm) == ("alibi", True, 2, "rmsnorm")
    assert (config.training.max_steps, config.training.compile, config.data.vocab_size) == (7, True, 300)
    assert config.implementation == "einops"
    assert config_of("--no_einops").implementation == "torch"


def test_a_config_file_stands_between_preset_and_flags(config_of, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        'architecture = "OLMO"\nmodel_size = "tiny"\n[training]\nlr = 0.002\nmax_steps = 50\nwarmup_steps = 5\n'
    )
    config = config_of("--config", str(file), "--max_steps", "60")
    assert (config.preset, config.training.lr, config.training.max_steps) == ("olmo", 0.002, 60)


def test_demos_have_nothing_to_decide(config_of):
    quick, full = config_of("--demo", "quick"), config_of("--demo", "full")
    assert quick.size == "tiny" and full.size == "small" and full.data.tokenizer_type == "bpe"
    assert config_of("--demo", "quick", "--max_steps", "100").training.max_steps == 100


@pytest.mark.parametrize("flags, words", [
    (["--architecture", "BERT"], "architecture 'BERT' is not one of gpt2, llama, olmo"),
    (["--model_size", "huge"], "model size 'huge' is not one of"),
    (["--n_layers", "1000000000"], "n_layers 1,000,000,000 is above 1,024"),
    (["--d_model", "130", "--n_heads", "4"], "d_model 130 is not divisible by n_heads 4"),
    (["--architecture", "LLAMA", "--d_head", "33"], "head width is 33 (odd)"),
    (["--n_heads", "4", "--n_kv_heads", "3"], "n_heads 4 is not a multiple of n_kv_heads 3"),
    (["--text_file", "no/such/file.txt"], "no/such/file.txt"),
    (["--text_file", "config"], "has no .txt files"),
    (["--data_size", "lots"], "data_size 'lots' is not a size of text"),
    (["--d_model", "60000", "--n_layers", "1000", "--n_heads", "1000"], "GB of memory"),
    (["--run", "no-such-run"], "There is no run 'no-such-run'"),
    (["--run", "x", "--lr", "1"], "leave out --lr"),
    (["--config", "README-that-is-not-there.toml"], "there is no file README-that-is-not-there.toml: --config names"),
    (["--config", "README.md"], "README.md cannot be read as a TOML file: "),
    (["--config", "docs"], "docs cannot be read as a TOML file: Is a directory"),
    (["--device", "mps"], "device mps is not available here: take cpu, or auto"),
    (["--data_size", "300"], "validation split of training.txt has 30 tokens, but n_ctx 256 needs 257"),
    (["--data_size", "3k", "--tokenizer_type", "bpe", "--vocab_size", "300"], "but n_ctx 256 needs 257"),
    (["--data_size", "2k", "--tokenizer_type", "sentencepiece", "--vocab_size", "900000"], "vocab_size"),
    (["--use_einops", "--no_einops"], "choose one implementation"),
    (["--demo", "quick", "--architecture", "GPT"], "--demo brings its own architecture"),
    (["--architecture", "GPT", "--rope_theta", "5"], "rope_theta has no effect unless position is rope"),
    (["--vocab_size", "300"], "vocab_size has no effect unless tokenizer_type is"),
])  # fmt: skip
def test_bad_input_is_one_sentence_and_makes_no_run(tmp_path, capsys, flags, words):
    assert train.main(["--checkpoints", str(tmp_path / "runs"), *flags]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and "Traceback" not in printed.err and printed.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_setting_without_effect_is_refused_also_from_a_file(config_of, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('architecture = "GPT"\n[model]\nrope_theta = 5.0\n')
    with pytest.raises(ConfigError, match="rope_theta has no effect unless position is rope"):
        config_of("--config", str(file))
    assert config_of("--config", str(file), "--position", "rope").model.rope_theta == 5.0


def test_a_config_file_with_wrong_kinds_names_them(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text("architecture = 5\nmodel_size = 5\nn_head = 3\n")
    assert train.main(["--config", str(file), "--checkpoints", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert "architecture must be a word" in said and "model_size must be a word" in said and "n_head is not" in said


def test_bad_text_files_are_named_with_a_way_out(tmp_path, capsys):
    for name, content, words in (
        ("empty.txt", b"", "empty.txt is empty"),
        ("blank.txt", b" \n\t\n" * 9, "blank.txt holds only white space"),
        ("latin.txt", "Käse und Brötchen".encode("latin-1"), "--encoding latin-1"),
        ("program.txt", b"\x7fELF\x00\x01", "binary"),
    ):
        (tmp_path / name).write_bytes(content)
        assert train.main(["--text_file", str(tmp_path / name), "--checkpoints", str(tmp_path / "runs")]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("flags, sentence", [
    (["--max_steps", "many"], "max_steps must be a whole number, not 'many'"),
    (["--max_step", "5"], "there is no flag --max_step: did you mean --max_steps?"),
    (["--warm-up-step=5"], "there is no flag --warm-up-step: did you mean --warmup_steps?"),
    (["--xyzzy"], "there is no flag --xyzzy"),
    (["--lr"], "--lr needs a value"),
    (["LLAMA"], "'LLAMA' belongs to no flag"),
    (["--demo", "slow"], "--demo 'slow' is not one of quick, full"),
])  # fmt: skip
def test_a_wrong_flag_is_one_sentence_without_the_usage_of_all_others(capsys, flags, sentence):
    with pytest.raises(SystemExit) as exit_:
        train.main(flags)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"train.py: {sentence} (see train.py --help)\n"


def test_a_second_run_of_the_same_name_is_numbered_and_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "run_worker", lambda run: 0)
    for _ in range(3):
        assert train.main(["--checkpoints", str(tmp_path), "--name", "first", *SMALL]) == 0
    said = capsys.readouterr().err
    assert [run.read_label().name for run in list_runs(tmp_path)] == ["first-3", "first-2", "first"]
    assert said.count("there is a run first already: this one is called first-") == 2
    assert train.find_run(tmp_path, "first") == list_runs(tmp_path)[-1]


def test_what_only_the_worker_finds_wrong_leaves_no_folder_either(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("training.prepare.check_trainable", lambda data, n_ctx: None)
    assert train.main(["--checkpoints", str(tmp_path), *SMALL, "--data_size", "50"]) == 2
    printed = capsys.readouterr()
    assert "needs 17" in printed.err and printed.out == "" and list_runs(tmp_path) == []


def test_a_resume_that_cannot_work_is_refused_before_the_state_says_failed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "run_worker", lambda run: 0)
    text = tmp_path / "text.txt"
    text.write_text("a line of text\n" * 100)
    for flags in (["--device", "cpu"], ["--device", "cpu", "--text_file", str(text)]):
        assert train.main(["--checkpoints", str(tmp_path / "runs"), *SMALL, *flags]) == 0
    second, first = list_runs(tmp_path / "runs")
    values = json.loads(first.config_path.read_text())
    values["training"]["device"] = "mps"
    first.config_path.write_text(json.dumps(values))
    text.unlink()
    capsys.readouterr()
    for run, words in ((first, "device mps is not available"), (second, "text.txt")):
        assert train.main(["--run", str(run.path)]) == 2
        assert words in capsys.readouterr().err and not run.state_path.exists()
    control.announce_launch(second)  # a page started this one: the worker itself tells it, through the state
    assert train.main(["--run", str(second.path)]) == 0


def test_bad_input_is_answered_without_loading_torch():
    code = "import sys, train; train.main(['--architecture', 'BERT']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


def test_a_training_prints_its_folder_last_and_can_be_resumed_by_it(tmp_path):
    done = call(tmp_path, "--architecture", "LLAMA", *SMALL, "--max_steps", "6", "--name", "first try")
    assert done.returncode == 0, done.stderr
    run = RunFolder(Path(done.stdout.splitlines()[-1]))
    assert read_status(run).state == "finished" and run.read_label().name == "first try"
    assert read_json(run.origin_path)["command"][0] == "train.py"
    assert RunConfig.from_dict(read_json(run.config_path)).preset == "llama"
    assert "validation" in done.stderr and "Traceback" not in done.stderr
    assert train.open_or_create(train.build_parser().parse_args(["--run", str(run.path)])).path == run.path
    by_name = ["--checkpoints", str(run.path.parent), "--run", "first try"]
    assert train.open_or_create(train.build_parser().parse_args(by_name)).path == run.path


def test_a_preflight_says_what_a_run_would_take_and_starts_none(tmp_path):
    done = call(tmp_path, *SMALL, "--preflight", "--max_steps", "50")
    assert done.returncode == 0, done.stderr
    verdict, time_line, passes = done.stdout.splitlines()
    assert verdict.startswith("fits: ") and "50 steps of" in time_line and passes.endswith("training tokens")
    assert not list_runs(tmp_path / "checkpoints")
    refused = call(tmp_path, "--preflight", "--run", "x")
    assert refused.returncode == 2 and "leave out --run" in refused.stderr


def test_ctrl_c_saves_and_ends_cleanly(tmp_path):
    command = [sys.executable, "train.py", "--checkpoints", str(tmp_path), *SMALL, "--max_steps", "1000000"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (list_runs(tmp_path) and read_status(list_runs(tmp_path)[0]).step > 2):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    (run,) = list_runs(tmp_path)
    assert process.returncode == 0 and "Traceback" not in err and "resume with: train.py --run" in err
    assert read_status(run).state == "stopped" and out.splitlines()[-1] == str(run.path)
    assert json.loads(run.state_path.read_text())["last_checkpoint"]


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_preflight_in_several_processes_is_refused_by_each_before_they_meet(monkeypatch, capsys, rank):
    def meet(*given):
        raise AssertionError("went on")

    monkeypatch.setattr(train, "follow_first", meet)
    monkeypatch.setattr(train, "foretell", meet)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train.main(["--preflight"]) == 2
    assert capsys.readouterr().err == (
        "train.py: --preflight tries a few steps in one process, not in 2: start it without torchrun\n"
    )
