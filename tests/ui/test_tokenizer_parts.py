"""What the parts of the Tokenizers page compute: tokens as they are drawn, merges, sizes, sentences."""

import pytest

from text.byte import ByteTokenizer
from text.byte_pair import BytePairTokenizer
from text.character import CharacterTokenizer
from ui import tokenizer_engine as engine
from ui import tokenizer_form, tokenizer_merges, tokenizer_sizes, tokenizer_views
from ui.tokenizer_engine import BYTES, LARGEST_VOCABULARY, MOST_CHARACTERS, Cut, Source, Step

TEXT = "low low low low low lower lower newest newest newest newest newest newest <b> 🦊"
OWN = Source(text=TEXT)


def texts(found: Cut) -> list[str]:
    return [token["text"] for token in found.drawn]


# --- a text in tokens ---------------------------------------------------------------------------------------------


def test_every_token_has_its_text_id_and_bytes():
    found = engine.cut_with(CharacterTokenizer("\n ab"), "a b\n", 10)
    assert texts(found) == ["a", "␣", "b", "⏎\n"]  # the break is drawn as a sign and as a break
    assert [token["id"] for token in found.drawn] == [2, 1, 3, 0]
    assert found.drawn[1]["tooltip"] == "␣\ntoken 1\nbytes 20"
    assert (found.count, found.characters, found.vocab_size, found.unknown) == (4, 4, 4, ())


def test_a_part_of_a_character_says_of_which():
    found = engine.cut_with(ByteTokenizer(), "é🦊", 10)
    assert found.count == 6 and found.characters_per_token == pytest.approx(2 / 6)
    lines = [token["tooltip"].split("\n")[-1] for token in found.drawn]
    assert lines == ["part of é"] * 2 + ["part of 🦊"] * 4


def test_a_token_of_two_halves_names_both_characters():
    halves = BytePairTokenizer([(b"\xa9", b"\xc3")])
    tooltips = [token["tooltip"] for token in engine.cut_with(halves, "éé", 10).drawn]
    assert [tooltip.split("\n")[-1] for tooltip in tooltips] == ["part of é", "part of éé", "part of é"]


def test_unknown_characters_are_pale_have_no_id_and_are_not_counted():
    found = engine.cut_with(CharacterTokenizer("abc"), "a☃b", 10)
    assert texts(found) == ["a", "☃", "b"]
    assert found.drawn[1]["quiet"] and "id" not in found.drawn[1]
    assert found.count == found.characters == 2 and found.unknown == ("☃",)
    assert "☃" in tokenizer_views.notes(found)[0]
    assert tokenizer_views.ids(found) == "0 1"


def test_half_a_surrogate_pair_is_unknown_and_no_crash():
    found = engine.cut_with(ByteTokenizer(), "a\ud800b", 10)
    assert found.count == 2 and found.drawn[1]["quiet"]


def test_a_long_text_is_counted_whole_and_drawn_in_part():
    found = engine.cut_with(ByteTokenizer(), "abc" * 1_000, 50)
    assert found.count == 3_000 and len(found.drawn) == 50
    assert "first 50 tokens" in tokenizer_views.notes(found)[-1]
    assert tokenizer_views.notes(engine.cut_with(ByteTokenizer(), "abc", 3)) == []
    assert tokenizer_views.ids(found).endswith(" 98 …")


# --- one training for every size ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_merges", [1, 5, 11])
def test_the_first_merges_are_what_a_smaller_training_learns(n_merges):
    learned = engine.learn(OWN)
    small = BytePairTokenizer.train(TEXT, BYTES + n_merges)
    assert learned.merges[:n_merges] == small.merges
    assert [step.frequency for step in learned.steps[:n_merges]] == list(small.merge_counts)
    assert engine.lengths(OWN, TEXT, (BYTES + n_merges,)) == [len(small.encode_array(TEXT))]


def test_lengths_fall_from_bytes_to_the_largest_vocabulary():
    largest = engine.learn(OWN).largest
    lengths = engine.lengths(OWN, TEXT, tuple(range(BYTES, largest + 1)))
    assert lengths[0] == len(TEXT.encode()) and lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < lengths[0] / 2


def test_a_source_that_is_missing_is_a_sentence(tmp_path):
    gone = Source(str(tmp_path / "gone.txt"))
    assert "gone.txt" in engine.learn(gone).problem
    assert "gone.txt" in engine.cut("bpe", gone, 300, "text", 10).problem
    assert engine.cut("byte", gone, 300, "text", 10).count == 4  # learns from nothing


def test_what_changed_in_a_file_is_learned_anew(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("aaaa aaaa", encoding="utf-8")
    first = engine.learn(Source(str(path), (1, 9)))
    path.write_text("bbbb bbbb", encoding="utf-8")
    assert engine.learn(Source(str(path), (1, 9))) is first
    assert engine.learn(Source(str(path), (2, 9))).merges[0] == (b"b", b"b")


def test_sentencepiece_takes_what_the_text_gives_and_explains_too_little():
    fitted = engine.cut("sentencepiece", OWN, LARGEST_VOCABULARY, TEXT, 0)
    assert not fitted.problem and 257 < fitted.vocab_size < LARGEST_VOCABULARY
    assert "too small" in engine.cut("sentencepiece", OWN, 257, TEXT, 0).problem
    assert "U+2581" in engine.cut("sentencepiece", Source(text="a ▁ b"), 300, "a ▁ b", 0).problem


def test_gpt2_is_used_only_when_it_is_here(monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    asked = []
    monkeypatch.setattr(engine, "cut", lambda *arguments: asked.append(arguments) or Cut(count=7))
    desk = tokenizer_form.Desk("text", OWN, 300, 300)
    problem = tokenizer_views.cut("gpt2", desk, 10).problem
    assert "vocab.bpe is not on this machine" in problem and str(tmp_path) in problem and not asked
    (tmp_path / "vocab.bpe").write_text("", encoding="utf-8")
    assert tokenizer_views.cut("gpt2", desk, 10).count == 7


# --- merges, sizes, sentences -------------------------------------------------------------------------------------


STEPS = [Step(chr(97 + place), "<i>", 100 - place) for place in range(20)]


def test_the_merge_in_words_is_escaped():
    words = tokenizer_merges.sentence(STEPS, 3, "<b>.txt")
    assert "Merge 3" in words and "token 258" in words and "98 times" in words
    assert "<code>c</code> + <code>&lt;i&gt;</code> → <code>c&lt;i&gt;</code>" in words and "&lt;b&gt;.txt" in words
    assert "every byte is a token" in tokenizer_merges.sentence(STEPS, 0, "x")


@pytest.mark.parametrize(("step", "first", "last"), [(0, 1, 9), (1, 1, 9), (5, 1, 9), (10, 6, 14), (20, 12, 20)])
def test_the_table_shows_nine_merges_around_the_current_one(step, first, last):
    rows = tokenizer_merges.table(STEPS, step).split("<tr")[2:]
    assert len(rows) == 9 and f"<td>{first}</td>" in rows[0] and f"<td>{last}</td>" in rows[-1]
    assert [row for row in rows if "class=here" in row] == [row for row in rows if f"<td>{step}</td>" in row]


def test_the_table_of_few_merges_shows_all():
    assert tokenizer_merges.table(STEPS[:3], 3).count("<tr") == 4


def test_sizes_are_a_handful_with_the_chosen_one():
    assert tokenizer_sizes.sizes_to_show(8_192, 700) == (256, 320, 512, 700, 1_024, 2_048, 4_096, 8_192)
    assert tokenizer_sizes.sizes_to_show(6_743, 512)[-1] == 6_743
    few = tokenizer_sizes.sizes_to_show(287, 287)
    assert few[0] == 256 and few[-1] == 287 and 5 < len(few) <= 9
    assert tokenizer_sizes.sizes_to_show(256, 256) == (256,)


def test_names_on_the_axis_have_room():
    assert tokenizer_sizes.spaced((256, 320, 512, 1_000, 1_024, 6_743), log=True) == [256, 320, 512, 1_024, 6_743]
    assert tokenizer_sizes.spaced((256, 264, 265, 272, 280), log=False) == [256, 265, 272, 280]
    assert tokenizer_sizes.spaced((256,), log=False) == [256]


@pytest.mark.parametrize("largest", [256, 290, 2_048])
def test_the_figure_has_title_units_and_marks_the_chosen_size(largest):
    sizes = tokenizer_sizes.sizes_to_show(largest, min(largest, 280))
    lengths = [10_000 - size for size in sizes]
    figure = tokenizer_sizes.figure(sizes, lengths, 20_000, min(largest, 280), "training.txt", "dark")
    layout, (line,) = figure["layout"], figure["data"]
    assert "Length of your text" in layout["title"]["text"] and "training.txt" in layout["title"]["text"]
    assert "(different tokens)" in layout["xaxis"]["title"]["text"] and "(tokens)" in layout["yaxis"]["title"]["text"]
    assert layout["xaxis"]["type"] == ("log" if largest == 2_048 else "linear")
    at = sizes.index(min(largest, 280))
    assert line["marker"]["size"][at] == max(line["marker"]["size"]) and layout["annotations"][0]["y"] == lengths[at]
    assert layout["annotations"][0]["x"] == pytest.approx(2.4472 if largest == 2_048 else sizes[at], abs=1e-4)


@pytest.mark.parametrize(
    ("asked", "words"),
    [(None, "Give a vocabulary size"), (255, "256 bytes"), (-3, "256 bytes"), (8_193, "8,192"), (256, ""), (8_192, "")],
)
def test_a_vocabulary_size_that_cannot_be_is_a_sentence(asked, words):
    problem = tokenizer_form.size_problem(asked)
    assert words in problem and bool(problem) == bool(words)


def test_a_text_that_is_too_long_is_cut_and_says_so():
    assert len(tokenizer_form.describe("a" * MOST_CHARACTERS)) == 1
    length, cut = tokenizer_form.describe("a" * (MOST_CHARACTERS + 1))
    assert "200,001 characters" in length and "first 200,000" in cut


def test_the_table_of_tokenizers_leaves_out_those_that_cannot():
    table = tokenizer_views.table({"byte": Cut(count=200, characters=100), "gpt2": Cut(problem="no")})
    assert "byte" in table and "gpt2" not in table and "0.50" in table and "width:100.0%" in table


def test_a_text_of_one_letter_is_counted_as_one():
    chart = tokenizer_sizes.figure((256,), (1,), 1, 256, "your text", "light")
    assert chart["layout"]["annotations"][0]["text"] == "256: 1 token"
    assert chart["layout"]["yaxis"]["dtick"] == 1  # whole numbers, each once
    assert "dtick" not in tokenizer_sizes.figure((256,), (900,), 1, 256, "your text", "light")["layout"]["yaxis"]
