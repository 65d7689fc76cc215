"""Compare, through main.py: the table that chooses, curves, differences, words about a run, deleting."""

import json
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from runs.files import write_json
from runs.folder import RunFolder
from tests.app.compare_page import curves, healthy, html_of, make, open_page, plots, table, text_of, tick
from tests.app.fake_runs import alive
from ui import overlay, picked, run_table

HOSTILE = "<b>bold</b> :red[x] $x$ [a](http://x.example) `c`"


def with_model(**changes):
    return lambda config: replace(config, model=config.model.replace(**changes))


@pytest.fixture
def runs(checkpoints) -> list[RunFolder]:
    """A reference, one change, another preset; the newest is last."""
    return [
        make(checkpoints, "plain-wren"),
        make(checkpoints, "alibi-otter", change=with_model(position="alibi"), best_val_loss_nats=1.6),
        make(checkpoints, "old-robin", preset="gpt2", steps=200),
    ]


def test_without_runs_it_invites(checkpoints):
    app = open_page()
    assert "Nothing to compare yet" in text_of(app) and app.button[0].label == "Train a tiny model"
    healthy(app.button[0].click().run())
    assert app.title[0].value == "Build a model"


def test_the_table_says_what_each_run_is(runs):
    rows = table(open_page())
    assert list(rows["name"]) == ["old-robin", "alibi-otter", "plain-wren"]
    assert list(rows["changed"]) == [
        "GPT-2 tiny instead of LLaMA tiny, with 200 steps instead of 300",
        "LLaMA tiny with ALiBi instead of RoPE", "the reference",
    ]  # fmt: skip
    assert list(rows["loss"]) == [1.7, 1.6, 1.7] and rows["bits"][1] == pytest.approx(1.6 / 0.6931, rel=1e-3)
    assert list(rows["tokens"]) == [200 * 768, 300 * 768, 300 * 768] and list(rows["state"]) == ["finished"] * 3
    assert rows["size"].min() > 10_000 and rows["parameters"].min() > 10_000


def test_ticked_runs_are_drawn_in_their_own_colours(runs):
    app = tick(open_page(), runs[0], runs[1])
    drawn = curves(app)
    assert [line["name"] for line in drawn] == ["alibi-otter", "plain-wren"]
    colors = [line["line"]["color"] for line in drawn]
    assert len(set(colors)) == 2
    app = tick(app, runs[0])
    assert [line["line"]["color"] for line in curves(app)] == colors[1:]  # the same when alone
    app.switch_page("pages/train_model.py")
    app.query_params["run"] = runs[0].id
    healthy(app.run())
    live = next(figure for figure in plots(app).values() if len(figure["data"]) == 3)
    assert live["data"][1]["line"]["color"] == colors[1]  # and on its own page


@pytest.mark.parametrize(
    ("x", "last"),
    [("step", 300), ("tokens", 300 * 768), ("time", 9.0), ("flops", None)],
)
def test_curves_over_steps_tokens_time_and_flops(runs, x, last):
    app = tick(open_page(), runs[0])
    healthy(app.button_group(key="overlay_x").set_value(x).run())
    (line,) = curves(app)
    expected = last or picked.read_summaries()[-1].flops
    assert line["x"][0] == 0 and line["x"][-1] == pytest.approx(expected) and len(line["x"]) == 4
    healthy(app.button_group(key="overlay_kind").set_value("train").run())
    assert curves(app)[0]["x"][-1] == pytest.approx(expected, rel=0.02) and len(curves(app)[0]["x"]) > 100


def test_between_tokenizers_bits_per_byte_are_drawn(runs):
    app = tick(open_page(), *runs)
    assert curves(app)[0]["y"][-1] == pytest.approx(2.0155, abs=0.001)
    write_json(runs[0].data_path, {"d_vocab": 512})
    app = tick(open_page(), *runs)
    assert any("bits per byte" in title for title in plots(app)) and curves(app)[0]["y"][-1] > 2.9


def test_two_runs_of_one_colour_differ_in_their_dashes(runs):
    for run in runs:
        run.write_label(color=3)
    app = tick(open_page(), *runs)
    assert [line["line"]["dash"] for line in curves(app)] == ["solid", "dash", "dot"]


def test_differences_only(runs):
    app = tick(open_page(), runs[0], runs[1])
    page = html_of(app)
    assert 'scope="row">Positions</th><td>rope</td><td class="odd">alibi</td>' in page and ">Layers<" not in page
    app = tick(app, runs[0])
    assert "Tick another run" in text_of(app)
    write_json(runs[1].config_path, runs[0].read_config().to_dict())
    assert "have the same settings" in text_of(tick(open_page(), runs[0], runs[1]))


def test_the_filter_shows_less_and_keeps_what_is_ticked(runs):
    app = tick(open_page(), runs[0], runs[2])
    healthy(app.text_input(key=run_table.FILTER).set_value("ALIBI finished").run())
    assert list(table(app)["name"]) == ["alibi-otter"]
    assert len(curves(app)) == 2
    healthy(app.text_input(key=run_table.FILTER).set_value("nobody").run())
    assert "No run has all of these words" in text_of(app) and len(curves(app)) == 2


def test_another_reference_changes_every_sentence(runs):
    app = open_page()
    healthy(app.selectbox(key="compare_reference").set_value(runs[1].id).run())
    changed = list(table(app)["changed"])
    assert changed[1] == "the reference" and changed[2] == "LLaMA tiny with RoPE instead of ALiBi"


def test_the_reference_follows_the_ticks_until_it_is_chosen(runs):
    app = tick(open_page(), runs[1], runs[2])
    assert table(app)["changed"][1] == "the reference"  # the older of the two, as the one before is not ticked any more
    app = tick(app, runs[0], runs[2])
    assert table(app)["changed"][2] == "the reference"
    healthy(app.selectbox(key=picked.REFERENCE).set_value(runs[1].id).run())
    app = tick(app, runs[0], runs[2])
    assert table(app)["changed"][1] == "the reference"  # chosen, ticked or not


def test_the_address_names_the_comparison(runs):
    app = open_page(runs=f"{runs[0].id},{runs[2].id}", reference=runs[2].id)
    assert [line["name"] for line in curves(app)] == ["old-robin", "plain-wren"]
    assert table(app)["changed"].iloc[0] == "the reference"
    tick(app, runs[1])
    assert app.query_params["runs"] == [runs[1].id] or app.query_params["runs"] == runs[1].id
    app.query_params["runs"] = f"{runs[0].id},{runs[2].id}"  # said late by the browser: no news
    app.query_params["reference"] = runs[2].id
    assert len(curves(healthy(app.run()))) == 1


@pytest.mark.parametrize("value", ["../../etc", "20260101000000", "x" * 5_000, ",,,", "<script>"])
def test_an_address_that_means_nothing_is_passed_over(runs, value):
    assert len(curves(open_page(runs=value, reference=value))) == 3


def test_a_race_is_what_is_ticked_at_first(checkpoints, runs):
    racers = [make(checkpoints, f"derby-{n}", group="race derby") for n in (1, 2)]
    app = open_page()
    assert [line["name"] for line in curves(app)] == ["derby-2", "derby-1"]
    assert list(table(app)["changed"])[:2] == ["the same configuration", "the reference"]
    for run in racers:
        lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
        lines = [line | {"batch_hash": line["step"]} if "train_loss_nats" in line else line for line in lines]
        run.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "equal hashes up to step 300" in text_of(open_page())


def menu(app: AppTest, run: RunFolder) -> AppTest:
    app.session_state[f"menu-{run.id}"] = True
    return healthy(app.run())


def test_name_note_star_and_colour_are_written(runs):
    run = runs[1]
    app = menu(tick(open_page(), run), run)
    healthy(app.text_input(key=f"name-{run.id}").set_value(HOSTILE).run())
    healthy(app.text_area(key=f"note-{run.id}").set_value("a note").run())
    healthy(app.toggle(key=f"star-{run.id}").set_value(True).run())
    healthy(app.button_group(key=f"color-{run.id}").set_value(5).run())
    label = run.read_label()
    assert (label.note, label.star, label.color) == ("a note", True, 5) and label.name.startswith("<b>bold")
    assert table(app)["star"][1] == "★" and table(app)["name"][1] == HOSTILE
    assert ":red[" not in text_of(app) and "<b>" not in html_of(app)  # nowhere as markup
    assert "<b>" not in json.dumps(curves(app))


def test_a_run_is_deleted_and_one_stays_here(runs):
    run = runs[1]
    app = menu(tick(open_page(), *runs), run)
    healthy(app.button(key=f"delete-{run.id}").click().run())
    healthy(app.button(key="delete_sure").click().run())
    assert not run.path.exists()
    app = healthy(app.run())
    assert app.title[0].value == "Compare runs" and len(curves(app)) == 2


def test_a_live_run_cannot_be_deleted_and_is_drawn_on(runs):
    with alive(runs[0], "running"):
        app = menu(tick(open_page(), runs[0]), runs[0])
        assert app.button(key=f"delete-{runs[0].id}").disabled and table(app)["state"][2] == "running"


def test_damaged_runs_stand_in_nobodys_way(checkpoints, runs):
    runs[1].config_path.write_text("{")
    runs[2].state_path.write_text("[]")
    runs[0].metrics_path.write_text("nonsense\n")
    app = tick(open_page(), *runs)
    assert "its configuration cannot be read" in set(table(app)["changed"])
    assert "unreadable" in set(table(app)["state"]) and len(curves(app)) == 3


def test_a_dozen_curves_at_most(checkpoints):
    made = [make(checkpoints, f"wren-{n}", steps=20) for n in range(13)]
    app = tick(open_page(), *made)
    assert len(curves(app)) == 12 and "newest 12 of the 13" in text_of(app)
    assert {line["line"]["dash"] for line in curves(app)} == {"solid", "dash"}


def test_a_run_page_leads_to_its_comparison_with_the_one_before(runs):
    app = open_page()
    app.switch_page("pages/train_model.py")
    app.query_params["run"] = runs[1].id
    healthy(app.run())
    healthy(app.button(key="compare-run").click().run())
    assert app.title[0].value == "Compare runs"
    assert [line["name"] for line in curves(app)] == ["alibi-otter", "plain-wren"]
    assert picked.with_predecessor(runs[0]) == [runs[0].id]


def test_a_better_loss_of_a_live_run_is_news(runs):
    with alive(runs[0], "running") as writer:
        (summary,) = [found for found in picked.read_summaries() if found.run == runs[0]]
        assert not overlay._is_news(summary)
        writer.update(best_val_loss_nats=1.0)
        assert overlay._is_news(summary)
    assert not any(overlay._is_news(found) for found in picked.read_summaries() if found.status.terminal)
