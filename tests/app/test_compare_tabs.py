"""Below the curves of Compare: the same prompt side by side, is it real, scaling, export; and races."""

import csv
import io
import json
import re
import shutil
import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from interpret.common_text import Text
from runs.files import write_json
from runs.folder import RunFolder, list_runs
from runs.summaries import read_group
from tests.app.compare_page import curves, healthy, make, open_page, plots, show_tab, table, text_of, tick
from tests.app.fake_runs import TEXT, add_checkpoint
from ui import __main__ as report_command
from ui import comparison_engine, picked, report, side_by_side
from ui.comparison_engine import Verdict
from ui.picked import Picked

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def runs(checkpoints, monkeypatch) -> list[RunFolder]:
    """Three runs with checkpoints of untrained models; their validation text is made up."""
    made = [make(checkpoints, name, preset=preset) for name, preset in (("plain-wren", "llama"), ("old-robin", "gpt2"))]
    made.append(make(checkpoints, HOSTILE, steps=200))
    for seed, run in enumerate(made):
        add_checkpoint(run, 200, seed=seed)
    monkeypatch.setattr("interpret.compare_checkpoints.common_text", lambda *_: Text((TEXT * 10).encode(), "a tale"))
    return made


@pytest.fixture
def launched(monkeypatch) -> list[RunFolder]:
    found: list[RunFolder] = []
    monkeypatch.setattr("runs.launch.launch", found.append)
    return found


def wait(app: AppTest, condition) -> AppTest:
    """A timer polls in the browser; here we do."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
        healthy(app.run())
    return app


# --- the same prompt ----------------------------------------------------------------------------------------------


def write(app: AppTest, prompt: str = "First") -> AppTest:
    app.text_area(key="side_prompt").set_value(prompt)
    app.button_group(key="side_length").set_value(100)
    healthy(app.button(key="write_each").click().run())
    wait(app, lambda: not any(sheet.active for sheet in app.session_state[side_by_side.SHEETS]))
    return healthy(app.run())


def test_the_same_prompt_and_seed_in_columns(runs):
    app = write(show_tab(tick(open_page(), *runs), "Same prompt"))
    texts = [block.value for block in app.code]
    assert len(texts) == 3 and all(text.startswith("First") and len(text) == 105 for text in texts)
    assert len(set(texts)) == 3  # three models
    assert [f"**{name}** · step 200" in text_of(app) for name in ("plain\\-wren", "old\\-robin")] == [True, True]
    again = [block.value for block in write(app).code]
    assert again == texts  # the same seed
    app.number_input(key="side_seed").set_value(2)
    assert [block.value for block in write(app).code] != texts


def test_a_prompt_that_one_cannot_read_stops_only_that_one(runs):
    app = write(show_tab(tick(open_page(), *runs[:2]), "Same prompt"), prompt="Ω")
    assert [error.value.count("has never seen Ω") for error in app.error] == [1, 1] and not app.code
    (runs[1].path / "step_00000200" / "model.safetensors").write_bytes(b"damaged")
    app = write(app)
    assert len(app.code) == 1 and "cannot be used" in text_of(app)  # the other one writes all the same
    for run in runs:
        shutil.rmtree(run.path / "step_00000200")
    app = show_tab(tick(open_page(), *runs), "Same prompt")
    assert "None of these runs has a checkpoint" in text_of(app)


def test_two_checkpoints_of_one_run_write_side_by_side(runs):
    add_checkpoint(runs[0], 300, val_loss_nats=1.2, seed=7)
    app = show_tab(tick(open_page(), runs[0]), "Same prompt")
    (choice,) = app.multiselect
    assert choice.options == ["plain-wren · step 300 · best", "plain-wren · step 200"]
    assert choice.value == [str(runs[0].step_path(300))]
    choice.set_value([str(runs[0].step_path(300)), str(runs[0].step_path(200))]).run()
    texts = [block.value for block in write(app).code]
    assert len(texts) == 2 and texts[0] != texts[1]
    assert "**plain\\-wren** · step 200" in text_of(app) and "**plain\\-wren** · step 300" in text_of(app)


# --- is it real? --------------------------------------------------------------------------------------------------


def judge(app: AppTest) -> AppTest:
    healthy(app.button(key="judge").click().run())
    return healthy(wait(app, lambda: not app.session_state["judging"].look().active).run())


def test_verdicts_are_sentences_with_a_chart_and_are_kept(runs):
    comparison_engine._kept.clear()
    app = judge(show_tab(tick(open_page(), *runs), "Is it real?"))
    (figure,) = [figure for title, figure in plots(app).items() if title.startswith("Bits per byte more than")]
    assert figure["layout"]["yaxis"]["ticktext"] == ["&lt;script&gt;alert(1)&lt;…", "old-robin"]
    assert all(line["error_x"]["array"][0] > 0 for line in figure["data"])
    sentences = [text.value for text in app.text]
    assert len(sentences) == 2 and all("nats per token" in sentence for sentence in sentences)
    assert any("plain-wren" in sentence and "old-robin" in sentence for sentence in sentences)
    assert "Scored on all 980 bytes of a tale" in text_of(app).replace("\\", "")
    assert "judge" not in {button.key for button in app.button}  # nothing is left to score
    again = show_tab(tick(open_page(), *runs), "Is it real?")
    assert len(again.text) == 2  # known in another session
    add_checkpoint(runs[1], 300, val_loss_nats=1.0, seed=9)  # a better one, which nobody has scored yet
    assert "judge" in {button.key for button in healthy(again.run()).button} and len(again.text) == 1


def test_what_cannot_be_judged_says_why(runs, monkeypatch):
    comparison_engine._kept.clear()
    monkeypatch.setattr("interpret.compare_checkpoints.common_text", lambda *_: Text(b"too short", "nothing"))
    app = judge(show_tab(tick(open_page(), runs[0], runs[1]), "Is it real?"))
    assert "the text has 9 tokens, but n_ctx 32 needs 33 or more" in text_of(app)
    monkeypatch.setattr("interpret.compare_checkpoints.common_text", lambda *_: Text((TEXT * 10).encode(), "a tale"))
    app = judge(app)  # once more, now that there is a text
    assert "needs 33 or more" not in text_of(app) and "nats per token" in app.text[0].value
    app = show_tab(tick(app, runs[0]), "Is it real?")
    assert "Tick another run with a checkpoint" in text_of(app)


def test_nobody_looking_ends_it(runs, monkeypatch):
    comparison_engine._kept.clear()
    monkeypatch.setattr(comparison_engine, "ABANDONED_SECONDS", -1.0)
    paths = [str(run.path / "step_00000200") for run in runs]
    judging = comparison_engine.Judging([(paths[0], paths[1]), (paths[0], paths[2])])
    deadline = time.monotonic() + 30
    while judging.look().active:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not comparison_engine._kept()


def test_a_run_that_is_deleted_while_it_is_scored_ends_it(runs, monkeypatch):
    def judge_and_delete(pair, go_on):
        shutil.rmtree(runs[1].path)
        return comparison_engine.Verdict()

    comparison_engine._kept.clear()
    monkeypatch.setattr(comparison_engine, "_judge", judge_and_delete)
    judging = comparison_engine.Judging([(str(runs[0].path / "step_00000200"), str(runs[1].path / "step_00000200"))])
    deadline = time.monotonic() + 10
    while judging.look().active:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not comparison_engine._kept()


def with_seed(seed: int):
    return lambda config: replace(config, training=config.training.replace(seed=seed))


def with_split(run: RunFolder, bits: float) -> RunFolder:
    """As a run that has scored its whole validation text at the end."""
    lines = run.metrics_path.read_text().splitlines()
    last = json.loads(lines[-1]) | {"val_split_bits_per_byte": bits, "val_split_loss_nats": bits}
    run.metrics_path.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    write_json(run.data_path, run.read_data() | {"corpus_sha256": "a" * 64})
    return run


def test_several_seeds_of_both_say_more_and_can_be_queued(runs, checkpoints, launched, monkeypatch):
    monkeypatch.setattr(comparison_engine, "known_verdict", lambda pair: Verdict(found=Says()))
    for run, bits in zip(runs, (2.5, 2.9, 2.5), strict=True):
        with_split(run, bits)
    app = show_tab(tick(open_page(), runs[0], runs[1]), "Is it real?")
    assert "so far 1 run of the one and 1 of the other" in text_of(app)
    healthy(app.button(key=f"more_seeds_{runs[1].id}").click().run())
    assert [run.read_config().training.seed for run in launched] == [1338, 1339, 1338, 1339]
    assert {run.read_config().preset for run in launched} == {"llama", "gpt2"}
    for seed, (preset, bits) in enumerate((("llama", 2.51), ("llama", 2.49), ("gpt2", 2.91)), start=5):
        with_split(make(checkpoints, f"seed-{seed}", preset=preset, change=with_seed(seed)), bits)
    app = show_tab(tick(open_page(reference=runs[0].id), runs[0], runs[1]), "Is it real?")
    (sentence,) = [text.value for text in app.text if text.value.startswith("Over seeds")]
    assert "plain-wren is better over 3 seeds of the one and 2 of the other: by 0.405" in sentence


class Says:
    def sentence(self, *names: str) -> str:
        return " and ".join(names)


# --- races and scaling --------------------------------------------------------------------------------------------


def open_race(app: AppTest) -> AppTest:
    app.session_state["race"] = True
    return healthy(app.run())


def test_a_race_against_the_reference_is_queued_and_then_compared(runs, launched):
    app = open_race(tick(open_page(), runs[0], runs[2]))
    assert "Steps 300 instead of 200" in text_of(app)
    app.number_input(key="race_steps").set_value(40)
    healthy(app.run())
    healthy(app.button(key="start_race").click().run())
    assert [run.read_config().training.max_steps for run in launched] == [40, 40]
    assert len({read_group(run) for run in launched}) == 1 and read_group(launched[0]).startswith("race ")
    assert list(table(app)["changed"])[:2] == ["the same configuration", "the reference"]
    assert set(app.session_state[picked.TICKED]) == {run.id for run in launched}


def test_a_race_that_cannot_be_is_refused_before_start(runs, launched, monkeypatch):
    app = open_race(tick(open_page(), runs[0], runs[1]))
    app.number_input(key="race_steps").set_value(-3)
    healthy(app.run())
    assert "max\\_steps \\-3 is below 1" in text_of(app) and app.button(key="start_race").disabled
    app.number_input(key="race_steps").set_value(30)
    healthy(app.run())
    monkeypatch.setattr("runs.machine.available_memory_bytes", lambda: 10)
    healthy(app.button(key="start_race").click().run())
    assert "Nothing was started" in text_of(app) and launched == [] and len(list_runs(runs[0].path.parent)) == 3


def test_scaling_draws_loss_over_size_and_cost_and_queues_sizes(runs, checkpoints, launched):
    sizes = [make(checkpoints, f"s-{n}", group="scaling s", best_val_loss_nats=2.0 - n / 10,
                  change=lambda config, n=n: replace(config, model=config.model.replace(d_mlp=64 * n)))
             for n in (1, 2)]  # fmt: skip
    app = show_tab(tick(open_page(reference=runs[0].id), *sizes, runs[0]), "Scaling")
    figures = [figure for title, figure in plots(app).items() if title.startswith("Best loss")]
    assert len(figures) == 2
    for figure in figures:
        assert figure["layout"]["xaxis"]["type"] == figure["layout"]["yaxis"]["type"] == "log"
        trend, *points = figure["data"]
        assert trend["mode"] == "lines" and len(trend["x"]) == 2 and trend["x"] == sorted(trend["x"])
        assert len(points) == 3
    healthy(app.button_group(key="scaling_sizes").set_value(["tiny", "small", "medium"]).run())
    app.number_input(key="scaling_steps").set_value(50)
    healthy(app.run())
    healthy(app.button(key="start_scaling").click().run())
    assert [run.read_config().size for run in launched] == ["tiny", "small", "medium"]
    assert {run.read_config().model.n_ctx for run in launched} == {64}
    assert read_group(launched[0]).startswith("scaling ")


def test_one_size_is_no_scaling(runs, launched):
    app = show_tab(tick(open_page(), runs[0]), "Scaling")
    assert "Tick at least two runs" in text_of(app)
    healthy(app.button_group(key="scaling_sizes").set_value(["tiny"]).run())
    assert app.button(key="start_scaling").disabled and "2 to 4 configurations" in text_of(app).replace("\\", "")


# --- export -------------------------------------------------------------------------------------------------------


def test_the_report_is_made_from_the_command_line_too(runs, tmp_path, capsys):
    page, checkpoints = tmp_path / "report.html", str(runs[0].path.parent)
    flags = ["--html", str(page), "--checkpoints", checkpoints]
    assert report_command.main(["report", "plain-wren", "old-robin", *flags]) == 0
    text = page.read_text()
    assert "2 runs compared" in text and "The reference is plain-wren" in text
    page.unlink()
    for words, sentence in (
        (["nobody"], "There is no run 'nobody'"),
        (["plain-wren"] * 2, "named twice"),
        ([str(number) for number in range(13)], "room for 12 runs, not 13"),
    ):
        capsys.readouterr()
        assert report_command.main(["report", *words, *flags]) == 2 and not page.exists()
        assert sentence in capsys.readouterr().err
    assert report_command.main(["report", "plain-wren", "--html", str(tmp_path / "no" / "where.html"), *flags[2:]]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err


def test_the_report_is_one_file_with_everything_and_nothing_foreign(runs):
    show_tab(tick(open_page(), *runs), "Export")
    summaries = picked.read_summaries()
    page = report.report(Picked(summaries, summaries, summaries[-1]))
    assert HOSTILE not in page and "&lt;script&gt;alert(1)" in page
    assert page.count('<div class="plot">') == 2 and len(page) > 3_000_000  # with plotly itself
    body = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="?http', body) and "GPT-2 tiny instead of LLaMA tiny" in body
    for data in re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.DOTALL):
        assert len(json.loads(data)["data"]) == 3 and "<" not in data  # nothing that could end the script element


def test_the_files_are_made_when_they_are_asked_for(runs, monkeypatch):
    from runs import export

    app = show_tab(tick(open_page(), *runs), "Export")
    assert len(app.get("download_button")) == 3 and len(curves(app)) == 3
    summaries = picked.read_summaries()
    rows = list(csv.DictReader(io.StringIO(export.summaries_csv(summaries, summaries[-1]))))
    assert [row["name"] for row in rows][1:] == ["old-robin", "plain-wren"]
