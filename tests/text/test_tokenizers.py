"""The contract of every tokenizer: exact round trips, saving and loading, damage, unknown characters."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from config.errors import CheckpointError, TextError
from text.blocks import collect, cut_into_pieces
from text.byte import ByteTokenizer
from text.byte_pair import BytePairTokenizer
from text.character import CharacterTokenizer
from text.corpus import make_corpus
from text.gpt2 import Gpt2Tokenizer
from text.hugging_face_json import FILE_NAME
from text.imported import ImportedTokenizer
from text.sentence_piece import SentencePieceTokenizer
from text.token_writer import encode_piece
from text.tokenizer import END_OF_TEXT, Tokenizer
from text.tokenizer_types import CLASSES, load_tokenizer, train_tokenizer

MAKERS: dict[str, Callable[[str], Tokenizer]] = {
    "character": CharacterTokenizer.train,
    "byte": ByteTokenizer.train,
    "bpe": lambda text: BytePairTokenizer.train(text, 300),
    # Some of GPT-2's merges, in the form it has: the real file is not in the repository.
    "gpt2": lambda text: Gpt2Tokenizer([(b" ", b"t"), (b"h", b"e"), (b" t", b"he")], [END_OF_TEXT]),
    "sentencepiece": lambda text: SentencePieceTokenizer.train(text, 400),
    "imported": lambda text: ImportedTokenizer(BytePairTokenizer.train(text, 300).extra_files()[FILE_NAME], 310),
}


@pytest.fixture(scope="module", params=MAKERS)
def tokenizer(request: pytest.FixtureRequest, story: str) -> Tokenizer:
    return MAKERS[request.param](story)


def random_text(source: random.Random, all_of_unicode: list[str]) -> str:
    """Letters, white space, and anything in Unicode: combining marks, emoji, private use, controls."""
    pools = ["the king ", " \n\t\r  ", "'s'll 12 ,.!", "éÄß\u0301\u200d", all_of_unicode]
    return "".join(source.choice(source.choice(pools)) for _ in range(source.randint(0, 60)))


def test_all_types_are_tested() -> None:
    assert set(MAKERS) == set(CLASSES)


def test_the_training_text_comes_back(tokenizer: Tokenizer, story: str) -> None:
    ids = tokenizer.encode_array(story)
    assert ids.dtype == np.uint16
    assert ids.max() < tokenizer.vocab_size
    assert tokenizer.decode(ids) == story
    assert tokenizer.decode_bytes(ids) == story.encode()
    assert tokenizer.encode(story) == ids.tolist()


def test_random_unicode_comes_back(tokenizer: Tokenizer, all_of_unicode: list[str]) -> None:
    source = random.Random(1)
    for _ in range(300):
        text = random_text(source, all_of_unicode)
        if tokenizer.type == "character":
            learned = CharacterTokenizer.train(text + "x")
            assert learned.decode(learned.encode(text)) == text
        else:
            assert tokenizer.unknown_characters(text) == []
            assert tokenizer.decode(tokenizer.encode(text)) == text


BAD_TEXTS = {
    "zero bytes": "a\0b\0\0",
    "emoji of several characters": "👩\u200d👩\u200d👧\u200d👦 🏳️\u200d🌈 👍🏽 🇩🇪",
    "combining marks": "e\u0301 n\u0303\u0323\u0331 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L G",
    "line ends of Windows": "one\r\ntwo\r\n\r\nthree\r",
    "an empty document in the middle": f"one{END_OF_TEXT}{END_OF_TEXT}two",
    "a special token inside": f"she said {END_OF_TEXT} and left",
    "a byte order mark": "\ufeffhello",
    "nothing but white space": " \t\n\v\f\r\x1c\x85\u2028\u3000",
    "right to left": "שלום \u202eabc\u202c مرحبا",
    "the last characters": "\ufffd\uffff\U0010ffff",
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_unusual_text_comes_back(tokenizer: Tokenizer, name: str) -> None:
    text = BAD_TEXTS[name]
    learned = CharacterTokenizer.train(text) if tokenizer.type == "character" else tokenizer
    for special in ("text", "token"):
        assert learned.decode(learned.encode(text, special=special)) == text
    trained = BytePairTokenizer.train(text * 3, 256 + len(set(text.encode())) // 4)
    assert trained.decode(trained.encode(text)) == text


def encode_in_pieces(tokenizer: Tokenizer, text: str) -> list[np.ndarray]:
    """As `text.token_writer` does it for a corpus."""
    pieces = cut_into_pieces(collect([(text, True)]), len(text))
    return [encode_piece(tokenizer, piece) for _, piece in pieces]


def test_one_long_line(tokenizer: Tokenizer, story: str) -> None:
    text = story.replace("\n", " ") * 80
    pieces = encode_in_pieces(tokenizer, text)
    assert len(pieces) > 1
    assert np.array_equal(np.concatenate(pieces), tokenizer.encode_array(text))


@pytest.mark.slow
def test_one_line_of_100_megabytes(tokenizer: Tokenizer, story: str) -> None:
    """Its time grows with its length and not faster (28 s for the slowest when measured alone)."""
    line = story.replace("\n", " ")
    text = line * (100_000_000 // len(line) + 1)
    start = time.process_time()
    pieces = encode_in_pieces(tokenizer, text)
    assert time.process_time() - start < 150
    assert "".join(map(tokenizer.decode, pieces)) == text


def test_no_text_gives_no_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_pieces_give_the_tokens_of_the_whole(tokenizer: Tokenizer, story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tokenizer.encode_array(story)
    monkeypatch.setattr("text.blocks.PIECE_CHARACTERS", 97)
    pieces = encode_in_pieces(tokenizer, story)
    assert len(pieces) > 100
    assert np.array_equal(np.concatenate(pieces), whole)


def test_a_saved_tokenizer_is_the_same_tokenizer(tokenizer: Tokenizer, story: str, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "new" / "tokenizer")
    loaded = load_tokenizer(tmp_path / "new" / "tokenizer")
    assert type(loaded) is type(tokenizer)
    assert loaded.content_hash() == tokenizer.content_hash()
    assert loaded.encode(story) == tokenizer.encode(story)
    assert loaded.token_bytes == tokenizer.token_bytes
    assert not list(tmp_path.rglob(".*"))  # no temporary files left


def test_the_hash_tells_tokenizers_apart(tokenizer: Tokenizer, story: str) -> None:
    assert MAKERS[tokenizer.type](story).content_hash() == tokenizer.content_hash()
    others = [make(story) for name, make in MAKERS.items() if name != tokenizer.type]
    assert tokenizer.content_hash() not in {other.content_hash() for other in others}


def test_every_byte_of_damage_is_noticed(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    source = random.Random(2)
    for file in sorted(file for file in tmp_path.iterdir() if file.is_file()):
        whole = file.read_bytes()
        places = [0, len(whole) // 2, len(whole) - 3, *source.sample(range(len(whole) - 1), 5)]
        # A white space outside a string is no content; everything else is.
        for place in [place for place in places if whole[place : place + 1] not in (b" ", b"\n")]:
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(CheckpointError):
                load_tokenizer(tmp_path)
            file.write_bytes(whole[:place])
            with pytest.raises(CheckpointError):
                load_tokenizer(tmp_path)
        file.unlink()
        with pytest.raises(CheckpointError):
            load_tokenizer(tmp_path)
        file.write_bytes(whole)
    load_tokenizer(tmp_path)


def test_token_ids_outside_of_the_vocabulary_are_named(tokenizer: Tokenizer) -> None:
    for wrong in (-1, tokenizer.vocab_size):
        with pytest.raises(TextError, match=f"token {wrong} does not exist"):
            tokenizer.decode([0, wrong])


def test_every_token_can_be_shown(tokenizer: Tokenizer) -> None:
    for token in range(tokenizer.vocab_size):
        shown = tokenizer.token_text(token)
        assert shown.isprintable()
        assert shown
        assert " " not in shown


def test_half_a_surrogate_pair_is_an_unknown_character(tokenizer: Tokenizer) -> None:
    text = "the \ud83d king"
    assert tokenizer.unknown_characters(text) == ["\ud83d"]
    with pytest.raises(TextError, match="surrogate" if tokenizer.type != "character" else r"U\+D83D"):
        tokenizer.encode(text)
    assert tokenizer.decode(tokenizer.encode(text, unknown="skip")) == "the  king"


def test_visible_forms() -> None:
    tokenizer = CharacterTokenizer.train("a \n\t\u200b\x07é")
    shown = {tokenizer.decode([token]): tokenizer.token_text(token) for token in range(tokenizer.vocab_size)}
    assert shown == {"a": "a", " ": "␣", "\n": "⏎", "\t": "⇥", "\u200b": "\\u200b", "\x07": "\\x07", "é": "é"}
    assert BytePairTokenizer([]).token_text(0xE2) == "\\xe2"


def test_half_a_character_decodes_to_the_replacement_sign() -> None:
    tokenizer = BytePairTokenizer([])
    ids = tokenizer.encode("é")
    assert tokenizer.decode(ids[:1]) == "\ufffd"
    assert tokenizer.decode_bytes(ids[:1]) == b"\xc3"


def test_large_vocabularies_need_four_bytes() -> None:
    fits = CharacterTokenizer("".join(map(chr, range(0x10000, 0x10000 + 65_535))))
    assert fits.dtype == np.uint16
    wide = CharacterTokenizer("".join(map(chr, range(0x10000, 0x10000 + 65_536))))
    assert wide.dtype == np.uint32
    text = "\U00010000" + chr(0x10000 + 65_535)
    assert wide.encode(text) == [0, 65_535]
    with pytest.raises(TextError, match="never seen"):
        fits.encode(text)


class TestCharacter:
    def test_ids_follow_the_code_points(self) -> None:
        tokenizer = CharacterTokenizer.train("hello\n")
        assert tokenizer.characters == "\nehlo"
        assert tokenizer.encode("hello") == [2, 1, 3, 3, 4]

    @pytest.mark.parametrize("learned", ["abc ", "abc é"])
    def test_unknown_characters_are_named(self, learned: str) -> None:
        tokenizer = CharacterTokenizer.train(learned)
        text = "a 😀zb😀"
        assert tokenizer.unknown_characters(text) == ["😀", "z"]
        with pytest.raises(TextError, match=r"never seen '😀' \(U\+1F600\), 'z' \(U\+007A\); its vocabulary is the"):
            tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text, unknown="skip")) == "a b"

    def test_many_unknown_characters_are_counted(self) -> None:
        with pytest.raises(TextError, match="and 21 more"):
            CharacterTokenizer.train("0").encode("abcdefghijklmnopqrstuvwxyz")

    def test_nothing_to_learn_from_is_refused(self) -> None:
        with pytest.raises(TextError, match="at least one character"):
            CharacterTokenizer.train("")
        with pytest.raises(TextError, match=r"character 2 of the text \(U\+DC00\)"):
            CharacterTokenizer.train("a\udc00")

    def test_long_texts_are_encoded_in_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("text.character.SLICE_CHARACTERS", 7)
        text = "abcé" * 30 + "a"
        tokenizer = CharacterTokenizer.train(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


class TestByte:
    def test_the_ids_are_the_bytes(self) -> None:
        tokenizer = ByteTokenizer()
        assert tokenizer.vocab_size == 256
        assert tokenizer.encode("né\n") == [110, 195, 169, 10]
        assert tokenizer.decode(range(256)) == bytes(range(256)).decode("utf-8", errors="replace")

    def test_as_many_tokens_as_characters_for_english(self, story: str) -> None:
        assert len(ByteTokenizer().encode(story)) == len(CharacterTokenizer.train(story).encode(story)) == len(story)

    def test_training_takes_no_notice_of_the_text(self) -> None:
        assert train_tokenizer("byte", "", 5_000).content_hash() == ByteTokenizer().content_hash()


class TestTraining:
    def test_trained_tokenizers_do_not_see_the_validation_split(self, story: str) -> None:
        text = story + "zyzzyva " * (len(story) // 100) + "\n"
        kept_aside, seen = train_tokenizer("bpe", text, 300), train_tokenizer("bpe", text, 300, val_fraction=0)
        assert b"zyzzyva" in b"".join(seen.token_bytes)
        assert not any(b"zy" in token for token in kept_aside.token_bytes)

    def test_the_character_tokenizer_knows_the_whole_text(self, story: str) -> None:
        corpus = make_corpus(story + "Ω", "story")
        assert train_tokenizer("character", corpus, 0).unknown_characters("Ω") == []

    def test_how_it_learns_can_be_chosen(self, story: str) -> None:
        text = story + "(word) 12345\n" * 9
        for name, option, choices in (
            ("bpe", "bpe_pattern", ("gpt2", "gpt4")),
            ("sentencepiece", "sentencepiece_model", ("bpe", "unigram")),
        ):
            default, other = (train_tokenizer(name, text, 400, **{option: choice}) for choice in choices)
            assert train_tokenizer(name, text, 400).content_hash() == default.content_hash()
            assert other.content_hash() != default.content_hash()
        assert train_tokenizer("bpe", text, 300, special_tokens=[END_OF_TEXT]).end_of_text == 299
        with pytest.raises(TextError, match="no sentencepiece model 'word'; there are bpe, unigram"):
            train_tokenizer("sentencepiece", text, 400, sentencepiece_model="word")

    def test_an_unknown_type_is_named(self) -> None:
        with pytest.raises(TextError, match="no tokenizer 'wordpiece'; choose one of character, byte, bpe"):
            train_tokenizer("wordpiece", "abc", 300)

    def test_equal_in_another_process(self, story: str) -> None:
        """Hash seeds differ from process to process; the vocabulary must not."""
        code = (
            "import sys; from text.tokenizer_types import train_tokenizer; t = sys.stdin.read();"
            "print(*(train_tokenizer(n, t, 330).content_hash() for n in ('character', 'bpe', 'sentencepiece')))"
        )
        result = subprocess.run(
            [sys.executable, "-c", code],
            input=story[:8000], capture_output=True, text=True, check=True, encoding="utf-8",
            env={"PYTHONHASHSEED": "77", "PYTHONPATH": ".", "PATH": "", "PYTHONUTF8": "1"},
        )  # fmt: skip
        here = [train_tokenizer(name, story[:8000], 330) for name in ("character", "bpe", "sentencepiece")]
        assert result.stdout.split() == [tokenizer.content_hash() for tokenizer in here]


class TestLoading:
    def write(self, folder: Path, **changes: object) -> None:
        """A tokenizer file whose hash is right, whatever else is wrong."""
        from text.tokenizer_file import hash_record

        CharacterTokenizer.train("abc").save(folder)
        record = json.loads((folder / "tokenizer.json").read_text())
        record.update(changes)
        del record["content_hash"]
        record["content_hash"] = hash_record(record)
        (folder / "tokenizer.json").write_text(json.dumps(record))

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"holds no tokenizer: there is no tokenizer\.json"):
            load_tokenizer(tmp_path)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"type": "wordpiece"}, "no tokenizer 'wordpiece'"),
            ({"type": 3}, "names no tokenizer type"),
            ({"format": 2}, "has format 2; this version reads format 1"),
            ({"vocab_size": 4}, "has 3 tokens, not 4"),
            ({"characters": "cba"}, "not a string of different characters"),
            ({"characters": 3}, "not a string of different characters"),
            ({"type": "bpe"}, "merges"),
            ({"type": "bpe", "merges": "a b", "special_tokens": []}, "merges are not a list of strings"),
            ({"type": "bpe", "merges": ["a"], "special_tokens": [], "pattern": "gpt2"}, "is not a merge"),
            ({"type": "bpe", "merges": ["a bc"], "special_tokens": [], "pattern": "gpt2"}, "does not fit its place"),
            (
                {"type": "bpe", "merges": ["a b", "a b"], "special_tokens": [], "pattern": "gpt2"},
                "does not fit its place",
            ),
            ({"type": "bpe", "merges": [], "special_tokens": [], "pattern": "(a+)+"}, "no pattern"),
            (
                {"type": "bpe", "merges": ["a b"], "special_tokens": [], "pattern": "gpt2", "merge_counts": ["9"]},
                "merge counts are not a list of whole numbers",
            ),
            (
                {"type": "bpe", "merges": ["a b"], "special_tokens": [], "pattern": "gpt2", "merge_counts": [9, 9]},
                "2 counts do not belong to 1 merges",
            ),
            ({"type": "byte"}, "has 256 tokens, not 3"),
            ({"type": "sentencepiece", "model_sha256": "0"}, r"sentencepiece\.model is missing"),
        ],
    )
    def test_content_that_is_no_tokenizer(self, tmp_path: Path, changes: dict, message: str) -> None:
        self.write(tmp_path, **changes)
        with pytest.raises(CheckpointError, match=message):
            load_tokenizer(tmp_path)

    def test_a_sentencepiece_model_that_is_none(self, tmp_path: Path) -> None:
        import hashlib

        (tmp_path / "sentencepiece.model").write_bytes(b"not a model")
        digest = hashlib.sha256(b"not a model").hexdigest()
        self.write(tmp_path, type="sentencepiece", model_sha256=digest)
        with pytest.raises(CheckpointError, match="SentencePiece model cannot be read"):
            load_tokenizer(tmp_path)

    def test_files_that_are_no_json(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for content in (b"\x80\x04pickle", b"[1]", b"[" * 100_000, b"\xff", b"9" * 5_000):
            (tmp_path / "tokenizer.json").write_bytes(content)
            with pytest.raises(CheckpointError, match="is damaged"):
                load_tokenizer(tmp_path)
        monkeypatch.setattr("text.tokenizer_file.MAX_FILE_BYTES", 3)
        (tmp_path / "tokenizer.json").write_bytes(b"{    }")
        with pytest.raises(CheckpointError, match="larger than 3 bytes"):
            load_tokenizer(tmp_path)
        (tmp_path / "tokenizer.json").unlink()
        (tmp_path / "tokenizer.json").mkdir()
        with pytest.raises(CheckpointError, match=r"larger than|cannot be read"):
            load_tokenizer(tmp_path)
