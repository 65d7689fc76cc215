"""Reading texts: what is changed, what is refused, and how much is used."""

import re
from pathlib import Path

import pytest

from config.errors import TextError
from text.corpus import check_text, make_corpus, parse_data_size, read_text, split_index, split_position
from text.learn import learn_tokenizer, most_characters, sample_for_tokenizer, sampling_note
from text.tokenizer_types import train_tokenizer


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Grüße,\nWelt 😀".encode())
    corpus = read_text(tmp_path / "a.txt")
    assert corpus.text == "Grüße,\nWelt 😀"
    assert (corpus.name, corpus.bytes, corpus.notes) == ("a.txt", 18, ())


def test_equal_texts_have_equal_hashes_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r")
    a, b = read_text(tmp_path / "a.txt"), read_text(tmp_path / "b.txt")
    assert a.sha256 == b.sha256
    assert b.text == "one\ntwo\n"
    assert any("byte order mark" in note for note in b.notes)
    assert any("CRLF" in note for note in b.notes)
    assert a.sha256 != read_text(tmp_path / "a.txt", data_size="3").sha256


def test_a_folder_is_its_txt_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, content in {"b.txt": "second", "a.TXT": "first", "c.txt": "", "d.md": "no", "e.txt": "third\n"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "folder.txt").mkdir()
    assert read_text(tmp_path).text == "first\nsecond\nthird\n"


def test_latin_1_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    assert read_text(tmp_path / "a.txt", "latin-1").text == "café"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \r\n\t ", "holds only white space"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"abc\0def", "byte 4 is zero"),
        (b"\x89PNG\r\n\x1a\n\0\0", "binary"),
        ("hello".encode("utf-16"), "UTF-16"),
        (b"caf\xe9 au lait", "not UTF-8: byte 4 is 0xe9.*--encoding latin-1"),
        (b"\xed\xa0\x80", "not UTF-8: byte 1"),
    ],
)
def test_bad_files_get_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(TextError, match=message) as caught:
        read_text(tmp_path / "bad.txt")
    assert "bad.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_empty_folders_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"there is no file .*nothing\.txt"):
        read_text(tmp_path / "nothing.txt")
    with pytest.raises(TextError, match=re.escape(f"the folder {tmp_path} has no .txt files")):
        read_text(tmp_path)
    with pytest.raises(TextError, match="neither"):
        read_text("/dev/null")


def test_a_file_that_cannot_be_opened_gets_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")

    def refuse(path: Path, mode: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TextError, match="cannot be read: Permission denied"):
        read_text(tmp_path / "a.txt")


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    with pytest.raises(TextError, match="no encoding 'klingon'"):
        read_text(tmp_path / "a.txt", "klingon")


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(TextError, match=r"character 3 of upload \(U\+D83D\)"):
        make_corpus("ab\ud83d", "upload")


@pytest.mark.parametrize(
    ("size", "count"),
    [
        ("1.0", 1234567),
        ("all", 1234567),
        (" ALL ", 1234567),
        ("0.1", 123456),
        (".5", 617283),
        ("50000", 50_000),
        ("100k", 100_000),
        ("1m", 1_000_000),
        ("1.5M", 1_500_000),
    ],
)
def test_data_size(size: str, count: int) -> None:
    assert parse_data_size(size, 1_234_567) == count


@pytest.mark.parametrize(
    "size", ["", "abc", "-5", "1.5", "0.0", "0", "0k", "nan", "inf", "10%", "1", "1e5", "k", "2g", "٣"]
)
def test_a_nonsense_data_size_is_refused_with_the_possible_forms(size: str) -> None:
    with pytest.raises(TextError, match=r"data_size .*(100k, 1m, or all|1\.0 or all)"):
        parse_data_size(size, 1000)


def test_a_fraction_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(TextError, match="leaves no text"):
        parse_data_size("0.001", 10)


def test_more_than_there_is_uses_everything_and_says_so() -> None:
    corpus = make_corpus("abc\n" * 10, "a.txt", "1m")
    assert len(corpus.text) == 40
    assert corpus.notes == ("data_size 1m is more than the 40 characters of a.txt: all are used.",)
    assert make_corpus("abc\n" * 10, "a.txt", "7").text == "abc\nabc"


def test_the_split_falls_behind_a_line_break(story: str) -> None:
    border = split_index(story, 0.1)
    assert story[border - 1] == "\n"
    assert 0 <= border - round(0.9 * len(story)) < 80


def test_the_split_of_one_long_line_falls_between_characters() -> None:
    assert split_index("x" * 1000, 0.1) == 900
    assert split_index("x" * 999 + "\n", 0.1) == 900  # a border at the very end would leave nothing


def test_without_a_validation_share_everything_is_for_training() -> None:
    assert split_index("ab\ncd\n", 0.0) == 6


# --- long texts -------------------------------------------------------------------------------------------------


@pytest.fixture
def streamed(tmp_path: Path, story: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is too long to be kept in memory."""
    monkeypatch.setattr("text.survey.KEPT_CHARACTERS", 1_000)
    monkeypatch.setattr("text.blocks.BLOCK_CHARACTERS", 700)
    monkeypatch.setattr("text.streams.READ_BYTES", 600)
    (tmp_path / "long.txt").write_text(story + "naïve 🙂\n")
    return tmp_path / "long.txt"


@pytest.mark.parametrize("data_size", ["1.0", "0.3", "5000", "1k", "9m"])
def test_a_long_text_is_what_it_would_be_in_memory(streamed: Path, story: str, data_size: str) -> None:
    long, short = read_text(streamed, data_size=data_size), make_corpus(story + "naïve 🙂\n", "long.txt", data_size)
    assert long == short
    assert long.text == short.text
    assert (long.characters, long.alphabet) == (len(short.text), "".join(sorted(set(short.text))))
    assert long.head(1234) == short.text[:1234]
    for fraction in (0.0, 0.1, 0.25, 0.5):
        assert split_position(long, fraction) == split_index(short.text, fraction)


def test_a_long_text_is_not_kept(streamed: Path) -> None:
    corpus = read_text(streamed)
    assert len(list(corpus.blocks())) > 10
    streamed.unlink()
    with pytest.raises(TextError, match="there is no file"):
        list(corpus.blocks())


def test_a_count_reads_no_further(streamed: Path) -> None:
    with streamed.open("ab") as file:
        file.write(b"\xff")
    assert read_text(streamed, data_size="2000").characters == 2000
    with pytest.raises(TextError, match="not UTF-8"):
        read_text(streamed, data_size="0.5")


def test_the_alphabet_of_ascii_and_of_all_of_unicode(all_of_unicode: list[str]) -> None:
    text = "".join(character for character in all_of_unicode if character not in "\r\0")
    assert make_corpus(text, "a").alphabet == "".join(sorted(text))
    assert make_corpus("hello world\n", "a").alphabet == "\n dehlorw"


def test_the_early_check_of_a_huge_text_looks_at_its_beginning(streamed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text.corpus.CHECKED_BYTES", 1_000)
    check_text(streamed)
    content = streamed.read_bytes()
    streamed.write_bytes(content + b"\xff")
    check_text(streamed)  # the worker will find it
    streamed.write_bytes(b"\xff" + content)
    with pytest.raises(TextError, match="not UTF-8"):
        check_text(streamed)
    with pytest.raises(TextError, match="data_size"):
        check_text(streamed, data_size="nonsense")
    monkeypatch.setattr("text.corpus.CHECKED_BYTES", 10**9)
    streamed.write_bytes(content + b"\xff")
    with pytest.raises(TextError, match="not UTF-8"):
        check_text(streamed)


def test_a_sample_is_spread_over_the_training_split(streamed: Path) -> None:
    corpus = read_text(streamed)
    border = split_position(corpus, 0.1)
    assert sample_for_tokenizer(corpus, 0.1) == corpus.text[:border]
    sample = sample_for_tokenizer(corpus, 0.1, characters=border // 4)
    assert abs(len(sample) - border // 4) <= 1
    stretches = [sample[start : start + 30] for start in range(0, len(sample), 30)]
    places = [corpus.text.find(stretch) / border for stretch in stretches]
    assert [any(low <= place < low + 0.2 for place in places) for low in (0.0, 0.2, 0.4, 0.6, 0.8)] == [True] * 5
    assert max(places) < 1


def test_tokenizers_learn_from_a_sample_of_a_long_text(
    streamed: Path, story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("text.learn.SAMPLE_CHARACTERS", 2_000)
    corpus = read_text(streamed)
    character = learn_tokenizer("character", corpus, 0, 0.1)
    assert character.decode(character.encode(corpus.text)) == corpus.text  # the last line has a character of its own
    bpe = learn_tokenizer("bpe", corpus, 280, 0.1)
    sample = sample_for_tokenizer(corpus, 0.1)
    assert 1_999 <= len(sample) <= 2_001
    assert bpe.content_hash() == train_tokenizer("bpe", sample, 280, val_fraction=0).content_hash()
    assert "2,000 of the" in sampling_note("bpe", corpus, 0.1)
    assert sampling_note("character", corpus, 0.1) == ""


def test_less_is_learned_from_a_text_without_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("text.learn.SAMPLE_CHARACTERS", 10_000)
    for text, share in (("nine char ", 1.0), ("x" * 19 + " ", 0.5), ("x" * 20, 0.1)):
        corpus = make_corpus(text * 2_000, "text")
        assert len(sample_for_tokenizer(corpus, 0.1)) == most_characters(corpus) == pytest.approx(10_000 * share, abs=9)
        assert f"learned from {most_characters(corpus):,} of the" in sampling_note("bpe", corpus, 0.1)
