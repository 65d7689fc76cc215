"""Races: what must be alike is made alike and told, runs are queued together, equal batches are called equal."""

import json
import math
from dataclasses import replace

import pytest

from config.data_config import DataConfig
from config.errors import ConfigError, RunError
from config.lora_config import LoraConfig
from config.parent import Parent
from config.presets import load_preset, size_fields
from config.run_config import RunConfig
from config.train_config import TrainConfig
from runs import __main__ as command_line
from runs import machine, race
from runs.folder import find_run, list_runs
from runs.metrics import MetricsReader
from runs.summaries import read_group


def make(preset="llama", size="tiny", training=None, data=None, **model) -> RunConfig:
    return RunConfig(
        model=load_preset(preset, size).replace(**model), preset=preset, size=size,
        training=TrainConfig(**(training or {})), data=DataConfig(**(data or {})),
    )  # fmt: skip


def test_everything_that_decides_about_batches_is_that_of_the_first():
    first = make(training={"seed": 7, "max_steps": 50, "batch_size": 6})
    other = make("gpt2", "small", {"seed": 9, "grad_accumulation": 4, "lr": 2e-3, "epochs": 3.0},
                 {"tokenizer_type": "byte"}, n_layers=3)  # fmt: skip
    kept, lined_up = race.line_up([first, other])
    assert kept.config == first and kept.notes == ()
    config = lined_up.config
    assert config.data == first.data and config.model.n_ctx == 64
    for name in ("seed", "max_steps", "batch_size", "epochs", "eval_interval", "eval_iters"):
        assert getattr(config.training, name) == getattr(first.training, name)
    assert config.training.grad_accumulation == 1  # 4 does not divide 6
    assert config.model == other.model.replace(n_ctx=64) and config.training.lr == 2e-3
    assert "Context 64 instead of 256" in lined_up.notes and "Seed 7 instead of 9" in lined_up.notes
    assert len(lined_up.notes) == 7


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_race_has_two_to_four(count: int):
    with pytest.raises(RunError, match=f"2 to 4 configurations, not {count}"):
        race.line_up([make()] * count)


@pytest.mark.parametrize("carried", ["all", "weights"])
def test_a_run_that_goes_on_in_the_middle_of_another_cannot_race(carried):
    parent = Parent(run="20260101000000", step=300, path="x", weights_sha256="0" * 64, token_files="", carried=carried)
    configs = [make(), replace(make(), parent=parent)]
    if carried == "weights":
        assert race.line_up(configs)[1].config.parent == parent
        return
    with pytest.raises(RunError, match="one of these goes on at step 300 of 20260101000000"):
        race.line_up(configs)


def test_what_cannot_be_trained_on_these_batches_is_refused():
    with pytest.raises(ConfigError, match="warmup_steps 900 is more than max_steps 50"):
        race.line_up([make(training={"max_steps": 50}), make(training={"warmup_steps": 900})])


def test_sizes_keep_what_was_changed_and_share_the_smallest_context():
    entries = race.at_sizes(make(size="small", position="alibi", n_layers=9), ["medium", "tiny", "small"])
    assert [entry.config.size for entry in entries] == ["tiny", "small", "medium"]
    for entry in entries:
        model, size = entry.config.model, size_fields(entry.config.size)
        assert model.position == "alibi" and model.n_ctx == 64
        assert {name: getattr(model, name) for name in size} == size | {"n_ctx": 64}
    assert entries[1].notes == ("Context 64 instead of 256",)
    for sizes, sentence in ((["tiny"], "2 to 4"), (["tiny", "tiny"], "twice")):
        with pytest.raises(RunError, match=sentence):
            race.at_sizes(make(), sizes)
    with pytest.raises(ConfigError, match="'huge' is not one of"):
        race.at_sizes(make(), ["tiny", "huge"])
    with pytest.raises(RunError, match="an architecture of its own"):
        race.at_sizes(RunConfig(model=make().model), ["tiny", "small"])


def test_the_runs_of_a_race_are_made_together_and_launched_in_order(root):
    launched = []
    runs = race.start(root, race.line_up([make(), make("gpt2")]), kind="race", name="derby", launcher=launched.append)
    assert launched == runs and [run.read_label().name for run in runs] == ["derby-1", "derby-2"]
    assert [read_group(run) for run in runs] == ["race derby"] * 2
    assert len({run.read_label().color for run in runs}) == 2
    assert [run.read_config().preset for run in runs] == ["llama", "gpt2"]


def test_a_race_that_cannot_be_made_whole_is_not_there(root, monkeypatch):
    entries = race.line_up([make(), make("gpt2")])
    calls = iter([race.create_run])

    def second_fails(*arguments):
        return next(calls, no_room)(*arguments)

    def no_room(*_):
        raise RunError("A run cannot be created: no space left on device.")

    monkeypatch.setattr(race, "create_run", second_fails)
    with pytest.raises(RunError, match="no space"):
        race.start(root, entries, kind="race", launcher=pytest.fail)
    assert list_runs(root) == []


def test_a_model_that_has_no_room_is_refused_before_anything_is_made(root, monkeypatch):
    monkeypatch.setattr(machine, "available_memory_bytes", lambda: 10**8)
    monkeypatch.setattr(machine, "has_gpu", lambda: False)
    with pytest.raises(ConfigError, match="GB of memory"):
        race.start(root, race.line_up([make(), make()]), kind="race", launcher=pytest.fail)
    assert list_runs(root) == []


def reader(tmp_path, name: str, hashes: list) -> MetricsReader:
    path = tmp_path / name
    lines = [{"step": step, "train_loss_nats": 1.0} | ({} if value is None else {"batch_hash": value})
             for step, value in enumerate(hashes, start=1)]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = MetricsReader(path)
    found.refresh(force=True)
    return found


HASH = 2**48 - 1  # the largest: it must survive being read as a float


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ([HASH, 7, 8], "They read the very same batches: equal hashes up to step 3."),
        ([HASH, 7], "They read the very same batches: equal hashes up to step 2."),
        ([8], "They read different token ids from step 1 on."),
        ([HASH, 9, 8], "They read different token ids from step 2 on."),
        ([HASH - 1, 7, 8], "They read different token ids from step 1 on."),
        ([None, None], ""),  # a run of an earlier version
        ([], ""),
    ],
)
def test_batches_are_compared_hash_by_hash(tmp_path, others: list, sentence: str):
    readers = [reader(tmp_path, "a", [HASH, 7, 8]), reader(tmp_path, "b", others)]
    assert race.compare_batches(readers).sentence == sentence
    assert race.compare_batches([]).sentence == ""


def test_batches_are_compared_step_by_step_also_where_one_began_later(tmp_path):
    whole = reader(tmp_path, "a", [HASH, 7, 8])
    late = tmp_path / "late"
    late.write_text("".join(json.dumps({"step": step, "train_loss_nats": 1.0, "batch_hash": value}) + "\n"
                            for step, value in ((2, 7), (3, 8), (4, 9))))  # fmt: skip
    later = MetricsReader(late)
    later.refresh(force=True)
    match = race.compare_batches([whole, later])
    assert (match.steps, match.first_difference, match.last) == (2, None, 3)


PARENT = Parent(run="20260101000000", step=500, path="x", weights_sha256="0" * 64, token_files="", carried="weights")


def test_a_fine_tuned_model_keeps_its_context_and_size():
    tuned = replace(make(), parent=PARENT)
    assert race.line_up([tuned, replace(tuned, lora=LoraConfig(lora_rank=4))])[1].config.lora.lora_rank == 4
    with pytest.raises(RunError, match="keeps the context of its checkpoint, 64"):
        race.line_up([make(size="small"), tuned])
    with pytest.raises(RunError, match="has the size of its checkpoint"):
        race.at_sizes(tuned, ["tiny", "small"])


def learned(root, text: str, record: dict | None = None) -> RunConfig:
    """A configuration with learned pieces of a text; with a record, one that is fine-tuned from a run with these."""
    config = make(data={"tokenizer_type": "bpe", "text_file": text})
    if record is None:
        return config
    run = race.create_run(root, config, {})
    run.tokenizer_path.mkdir()
    (run.tokenizer_path / "tokenizer.json").write_text(json.dumps(record))
    return replace(config, parent=replace(PARENT, run=run.id, path=str(run.step_path(500))))


def test_models_with_other_tokenizers_than_the_first_do_not_race(root):
    one, like_it, other = (learned(root, f"{record}.txt", {"merges": record}) for record in "aab")
    assert len(race.line_up([one, like_it])) == 2
    whose = f"the tokenizer of {one.parent.run}, the tokenizer of {other.parent.run}"
    with pytest.raises(RunError, match=rf"into different tokens \({whose}\).* compare bits per byte"):
        race.line_up([one, other])
    fresh, elsewhere = learned(root, "a.txt"), learned(root, "b.txt")
    assert len(race.line_up([fresh, one])) == 2  # learned from the same text: the same pieces
    with pytest.raises(RunError, match="one learned from this text, the tokenizer of"):
        race.line_up([elsewhere, one])
    characters = [replace(config, data=DataConfig()) for config in (one, other)]
    assert len(race.line_up(characters)) == 2  # one token for each character, whoever has learned them


# --- from the command line ----------------------------------------------------------------------------------------


@pytest.fixture
def call(root, monkeypatch, capsys):
    """Call `python -m runs` in this process; returns status, stdout, stderr and what was launched."""
    launched = []
    monkeypatch.setattr("runs.launch.launch", launched.append)

    def call(*arguments: str):
        status = command_line.main([*arguments, "--checkpoints", str(root)])
        out, err = capsys.readouterr()
        return status, out, err, launched

    return call


def test_race_takes_runs_and_words(call, root):
    status, out, _, launched = call(
        "race", "llama tiny seed=5", "gpt2 position=alibi", "--max_steps", "30", "--name", "r"
    )
    assert status == 0 and [run.read_label().name for run in launched] == ["r-1", "r-2"]
    first, second = (run.read_config() for run in launched)
    assert (first.training.seed, second.training.seed, second.training.max_steps) == (5, 5, 30)
    assert (second.preset, second.model.position) == ("gpt2", "alibi")
    assert f"{launched[1].id} (r-2): Seed 5 instead of 1337\npython -m runs compare r-1 r-2\n" in out
    status, *_ = call("race", "r-2", launched[0].id)
    assert status == 0 and launched[2].read_config() == second


def test_scale_queues_sizes(call, root):
    status, out, _, launched = call("scale", "olmo dropout=0.1", "--sizes", "small", "tiny", "--name", "s")
    assert status == 0 and [run.read_label().name for run in launched] == ["s-tiny", "s-small"]
    assert [run.read_config().model.dropout for run in launched] == [0.1, 0.1]
    assert read_group(launched[0]) == "scaling s" and "Context 64 instead of 256" in out


def test_a_run_whose_name_has_several_words_races_by_its_name(call, root):
    call("race", "llama tiny seed=5", "gpt2 tiny", "--name", "hopeful heron")
    status, _, _, launched = call("race", "hopeful heron-1", "gpt2 tiny", "--name", "again")
    assert status == 0 and launched[-2].read_config().training.seed == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["race", "llama"], "A race has 2 to 4 configurations, not 1."),
        (["race", "llama", "brave-otter"], "'brave-otter' is neither a run in"),
        (["race", "llama", "llama n_laiers=4"], "did you mean n_layers?"),
        (["race", "llama", "llama n_heads=3"], "not divisible by n_heads 3"),
        (["race", "llama", "llama olmo"], "architecture is given twice"),
        (["race", "llama", "gpt2", "--max_steps", "-5"], "max_steps -5 is below 1"),
        (["scale", "llama", "--sizes", "tiny", "vast"], "'vast' is not one of"),
        (["compare", "brave-otter"], "There is no run 'brave-otter'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(call, root, arguments, sentence):
    status, out, err, launched = call(*arguments)
    assert (status, out, launched) == (2, "", []) and sentence in err and err.count("\n") == 1
    assert list_runs(root) == []


def test_compare_prints_numbers_sentences_and_differences(call, root, tmp_path):
    call("race", "llama tiny", "llama tiny position=alibi n_layers=8", "--name", "r")
    table, curves = tmp_path / "table.csv", tmp_path / "curves.csv"
    status, out, err, _ = call("compare", "r-1", "r-2", "--csv", str(table), "--curves", str(curves))
    assert (status, err) == (0, "")
    numbers, sentences, differences = out.split("\n\n")
    assert [line.split()[0] for line in numbers.splitlines()] == ["NAME", "r-1", "r-2"]
    assert sentences == "r-1: the reference\nr-2: LLaMA tiny with ALiBi instead of RoPE, twice the layers"
    assert [line.split() for line in differences.splitlines()] == [
        ["SETTING", "r-1", "r-2"], ["Layers", "4", "8"], ["Positions", "rope", "alibi"],
    ]  # fmt: skip
    assert table.read_text().count("\n") == 3 and curves.read_text().startswith("run,name,step,")
    status, _, err, _ = call("compare", "r-1", "r-1")
    assert status == 2 and "named twice" in err
    status, _, err, _ = call("compare", "r-1", "--csv", str(tmp_path / "no" / "where.csv"))
    assert status == 1 and "compare did not work: No such file" in err


def test_compare_says_how_much_better_and_whether_on_the_same_batches(call, root):
    call("race", "llama tiny", "llama tiny seed=1", "--name", "r")
    for name, loss in (("r-1", 2.0), ("r-2", 1.5)):
        run = find_run(root, name)
        lines = [
            {"step": 0, "val_loss_nats": 4.0, "val_bits_per_byte": 4.0 / math.log(2)},
            {"step": 1, "train_loss_nats": 3.0, "tokens_seen": 768, "elapsed_seconds": 0.1, "batch_hash": 11},
        ]
        run.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        run.state_path.write_text(json.dumps({"state": "finished", "best_val_loss_nats": loss}))
    _, out, _, _ = call("compare", "r-1", "r-2")
    assert "r-2: the same configuration; 0.7213 bits per byte better at its best" in out
    assert "equal hashes up to step 1." in out
