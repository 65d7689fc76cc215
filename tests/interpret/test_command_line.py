"""`python -m interpret` and `train.py --prove`: tables and JSON, and one sentence for what cannot be."""

import json

import pytest
import torch

import train
from interpret import prove
from interpret.__main__ import main
from interpret.prove import Check
from tests.cli.infer_runs import make_run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path / "checkpoints", n_layers=2)


def asked(capsys, *arguments):
    assert main([*arguments]) == 0
    return capsys.readouterr()


def test_every_command_answers_in_a_table_and_in_json(run, capsys):
    expected = {"heads": ("heads", 4), "lens": ("stages", 3), "next": ("next", 10), "importance": ("parts", 10)}
    for command, (key, length) in expected.items():
        table = asked(capsys, command, "hopeful heron", "--text", "To be").out
        assert table.startswith("hopeful heron, step 2, 5 tokens\n\n")
        answer = json.loads(asked(capsys, command, str(run.step_path(2)), "--text", "To be", "--json").out)
        assert len(answer[key]) == length
        assert (answer["step"], answer["tokens"]) == (2, ["T", "o", "␣", "b", "e"])
        assert len(table.splitlines()) > length / 2


def test_the_lens_agrees_with_the_next_token(run, capsys):
    lens = json.loads(asked(capsys, "lens", "hopeful heron", "--text", "To be", "--json").out)
    following = json.loads(asked(capsys, "next", "hopeful heron", "--text", "To be", "--json").out)
    assert lens["stages"][-1]["guesses"][-1] == following["next"][0]["text"]
    assert lens["stages"][-1]["truth_ranks"][-1] == 0


def test_parts_are_switched_off_together(run, capsys):
    command = ["importance", "hopeful heron", "--text", "To be", "--json"]
    parts = {
        (part["layer"], part["kind"], part["head"]): part for part in json.loads(asked(capsys, *command).out)["parts"]
    }
    alone = json.loads(asked(capsys, *command, "--without", "1.mlp").out)
    assert alone["change"] == pytest.approx(parts[1, "mlp", None]["change"], abs=1e-5)
    both = json.loads(asked(capsys, *command, "--without", "1.mlp", "0.1").out)
    assert both["without"][1] == {"layer": 0, "kind": "head", "head": 1}
    assert both["change"] != pytest.approx(alone["change"], abs=1e-6)
    assert main([*command, "--without", "mlp"]) == 2
    assert "'mlp' names no part: write 2.mlp" in capsys.readouterr().err
    assert main([*command, "--without", "9.mlp"]) == 2
    assert "this model has no layer 9 mlp that can be switched off" in capsys.readouterr().err


def test_what_does_not_fit_is_left_out_and_told(run, capsys):
    told = asked(capsys, "heads", "hopeful heron", "--text", "to be or not to be that is")
    assert "10 tokens at the end are left out: the model sees 16 at once" in told.err


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["heads", "nobody"], "nobody"),
        (["heads", "hopeful heron", "--text", "Ωmega"], "the prompt cannot be read"),
        (["importance", "hopeful heron", "--text", "T"], "at least two tokens"),
        (["heads", "hopeful heron/step_00000099"], "no checkpoint"),
    ],
)
def test_wrong_input_is_one_sentence_and_status_2(run, capsys, words, sentence):
    assert main(words) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("python -m interpret: ") and sentence in line and captured.out == ""


def test_wrong_usage_is_one_sentence_and_status_2(run, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["importance", "hopeful heron", "--replacement", "noise"])
    assert ended.value.code == 2
    assert "--replacement noise is not one of mean, zero" in capsys.readouterr().err.replace("'", "")


FLAGS = ["--prove", "--n_layers", "1", "--d_model", "16", "--n_heads", "2", "--d_mlp", "16", "--n_ctx", "8"]


def test_train_proves_a_model_and_starts_nothing(run, capsys, monkeypatch):
    before = sorted(run.path.parent.iterdir())
    assert train.main(FLAGS) == 0
    out = capsys.readouterr().out
    assert out.count("\nok ") == 5 and "the model as it is" in out
    monkeypatch.setattr(prove, "_cache", lambda models, tokens: Check("Cache equals the full pass", False, "broken"))
    assert train.main([*FLAGS, "--model_size", "full", "--d_model", "2048", "--d_mlp", "2048"]) == 1
    out = capsys.readouterr().out
    assert "FAILED  Cache equals the full pass: broken" in out
    assert "a smaller model of the same kind, d_model 64 for 2,048" in out
    assert sorted(run.path.parent.iterdir()) == before
    assert train.main(["--prove", "--run", run.id]) == 2
    assert "leave out --run" in capsys.readouterr().err


def test_a_proof_leaves_the_random_numbers_alone(capsys):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    train.main(FLAGS)
    assert torch.equal(torch.rand(1), expected)
