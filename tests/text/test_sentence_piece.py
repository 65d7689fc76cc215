"""SentencePiece: nothing is rewritten, bad vocabulary sizes are explained with numbers."""

from pathlib import Path

import pytest

from config.errors import CheckpointError, TextError
from text.sentence_piece import MAX_LINE_CHARACTERS, SentencePieceTokenizer, _lines
from text.tokenizer_types import load_tokenizer


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_white_space_and_unknown_signs_come_back(story: str, model_type: str) -> None:
    tokenizer = SentencePieceTokenizer.train(story, 330, model_type)
    assert tokenizer.vocab_size == 330
    for text in ("  two spaces in front", "end \n\n  x\t\t", "ﬁ ½ Å e\u0301", "😀中文", "<unk><0x41>", "\0\x1c\r"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_frequent_words_become_one_piece(story: str) -> None:
    tokenizer = SentencePieceTokenizer.train(story, 450)
    assert len(tokenizer.encode(" lantern")) == 1


def test_a_line_break_is_one_token(story: str) -> None:
    tokenizer = SentencePieceTokenizer.train(story, 330)
    (token,) = tokenizer.encode("\n")
    assert tokenizer.token_text(token) == "⏎"


@pytest.mark.parametrize(
    ("vocab_size", "message"),
    [
        (100, "vocab_size 100 is too small for sentencepiece: 256 byte tokens"),
        (260, r"vocab_size 260 is too small: this text needs 3\d\d tokens"),
        (9_000, r"vocab_size 9,000 is too large for this text of [\d,]+ characters: use [\d,]+ or less"),
    ],
)
def test_bad_vocabulary_sizes_are_explained(story: str, vocab_size: int, message: str) -> None:
    with pytest.raises(TextError, match=message):
        SentencePieceTokenizer.train(story, vocab_size)


def test_the_sizes_that_are_offered_work(story: str) -> None:
    for asked, words_before in ((9_000, "use "), (260, "needs ")):
        with pytest.raises(TextError) as caught:
            SentencePieceTokenizer.train(story, asked)
        offered = int(str(caught.value).split(words_before)[1].split(" ")[0].replace(",", ""))
        assert SentencePieceTokenizer.train(story, offered).vocab_size == offered


def test_nothing_but_line_breaks_is_refused() -> None:
    with pytest.raises(TextError, match="cannot learn vocab_size 300"):
        SentencePieceTokenizer.train("\n\n", 300)


def test_the_space_sign_is_refused(story: str) -> None:
    tokenizer = SentencePieceTokenizer.train(story, 330)
    assert tokenizer.unknown_characters("a▁b▁\ud800") == ["▁", "\ud800"]
    with pytest.raises(TextError, match=r"character 2 of the text is ▁ \(U\+2581\)"):
        tokenizer.encode("a▁b")
    with pytest.raises(TextError, match=r"U\+2581"):
        SentencePieceTokenizer.train(story + "▁", 320)
    assert tokenizer.decode(tokenizer.encode("a▁b", unknown="skip")) == "ab"


def test_long_lines_are_learned_in_parts() -> None:
    text = "x" * 2500 + "\n\nab\n" + "y" * MAX_LINE_CHARACTERS + "\nz"
    parts = list(_lines(text))
    assert [len(part) for part in parts] == [1000, 1000, 500, 2, 1000, 1]
    assert "".join(parts) == text.replace("\n", "")


def test_one_long_line_can_be_learned(story: str) -> None:
    text = story.replace("\n", " ")
    tokenizer = SentencePieceTokenizer.train(text, 450)
    assert len(tokenizer.encode(" lantern")) == 1
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_a_saved_one_knows_how_it_was_learned(story: str, model_type: str, tmp_path: Path) -> None:
    SentencePieceTokenizer.train(story, 330, model_type).save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, SentencePieceTokenizer)
    assert loaded.model_type == model_type


def test_an_older_file_does_not_say_and_keeps_its_hash(story: str, tmp_path: Path) -> None:
    older = SentencePieceTokenizer(SentencePieceTokenizer.train(story, 330).model)
    older.save(tmp_path)
    assert "model_type" not in (tmp_path / "tokenizer.json").read_text()
    assert load_tokenizer(tmp_path).content_hash() == older.content_hash()


def test_another_way_to_learn_is_refused(story: str, tmp_path: Path) -> None:
    SentencePieceTokenizer(SentencePieceTokenizer.train(story, 330).model, "wordpiece").save(tmp_path)
    with pytest.raises(CheckpointError, match="its model_type is not one of bpe, unigram"):
        load_tokenizer(tmp_path)
