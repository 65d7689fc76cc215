"""The tokenizer.json for Hugging Face: their library opens it and gives the same ids; whose vocabulary is better."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers import models, pre_tokenizers, trainers

from text.byte_pair import BytePairTokenizer
from text.gpt2 import Gpt2Tokenizer
from text.merge_tokenizer import MergeTokenizer
from text.words import PATTERNS, disputed_characters

SPECIAL = ("<|endoftext|>", "<|end|>", "<|end|><|end|>", "<|")
CORPUS = Path(__file__).parents[2] / "training.txt"


def open_theirs(tokenizer: MergeTokenizer, folder: Path) -> HuggingFaceTokenizer:
    tokenizer.save(folder)
    return HuggingFaceTokenizer.from_file(str(folder / "hugging_face" / "tokenizer.json"))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_ids_are_equal_on_random_unicode(
    pattern: str, story: str, all_of_unicode: list[str], tmp_path: Path
) -> None:
    source = random.Random(5)
    pools = ["the king ", "(go\n\n  ", " \n\t\r\u3000\x1c\x85 ", "'s'LL1234,.!", "éÄßſ\u0301", "🙂\0", SPECIAL]
    pools += [all_of_unicode, sorted(disputed_characters())]

    def random_text() -> str:
        return "".join(source.choice(source.choice(pools)) for _ in range(source.randint(0, 40)))

    text = story + "12345678 \n" * 30 + "".join(random_text() for _ in range(1000))  # merges of all kinds of signs
    ours = BytePairTokenizer.train(text, 900, pattern=pattern, special_tokens=SPECIAL)
    theirs = open_theirs(ours, tmp_path)
    assert theirs.get_vocab_size() == 900
    assert theirs.encode(text).ids == ours.encode(text, special="token")
    for _ in range(1500):
        text = random_text()
        ids = ours.encode(text, special="token")
        assert theirs.encode(text).ids == ids, ascii(text)
        assert theirs.decode(ids, skip_special_tokens=False) == ours.decode(ids) == text


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_ids_are_equal_on_all_of_unicode(pattern: str, telling_characters: list[str], tmp_path: Path) -> None:
    starts = sorted({character.encode()[:1] for character in telling_characters})
    merges = [(before, start) for before in (b"x", b"1", b"'", b" ", b"\n") for start in starts]
    ours = BytePairTokenizer([merge for merge in merges if merge[0] != merge[1]], pattern=pattern)
    theirs = open_theirs(ours, tmp_path)
    for character in telling_characters:
        text = f"x{character}x 1{character}1 '{character} {character}{character}\n{character}"
        assert theirs.encode(text).ids == ours.encode(text), ascii(character)


def test_gpt2s_order_of_bytes(tmp_path: Path) -> None:
    ours = Gpt2Tokenizer([(b" ", b"t"), (b"h", b"e"), (b" t", b"he")], ["<|endoftext|>"])
    theirs = open_theirs(ours, tmp_path)
    for text in ("on the way<|endoftext|>", "é\n\0"):
        assert theirs.encode(text).ids == ours.encode(text, special="token")
    assert theirs.token_to_id("<|endoftext|>") == 259


def test_a_vocabulary_of_the_same_size_is_as_good(tmp_path: Path) -> None:
    text = CORPUS.read_text(encoding="utf-8")[:400_000]
    ours = BytePairTokenizer.train(text, 1_500)
    theirs = HuggingFaceTokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=1_500, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    theirs.train_from_iterator([text], trainer)
    assert theirs.get_vocab_size() == ours.vocab_size
    assert len(ours.encode(text)) <= 1.01 * len(theirs.encode(text).ids)
