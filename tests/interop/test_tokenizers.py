"""Tokenizers of published models, made small in their own form: an imported run reads and writes as `AutoTokenizer`."""

import json
from pathlib import Path

import pytest
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from config.errors import CheckpointError, TextError
from generation.prompt import encode_prompt
from interop.registry import FAMILIES
from interop.tokenizer_files import read_tokenizer, write_tokenizer
from text.character import CharacterTokenizer
from text.imported import ImportedTokenizer
from text.tokenizer_types import load_tokenizer

TEXT = "The king keeps a promise; the queen's men don't.\n\nIt was 1234 miles, naïve 漢字 🙂 to go.\n" * 30
SAMPLES = ["The king", "\n\nkeeps  two spaces", "naïve 漢字 🙂 zebra 98765", "don't!\t\r\n", "a", " leading"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
ENDS = ["<|endoftext|>", "<|im_end|>"]


def trained(model, text=TEXT, special=()):
    tokenizer = Tokenizer(model)
    alphabet = [] if special else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=list(special), initial_alphabet=alphabet,
                                  show_progress=False)  # fmt: skip
    return tokenizer, lambda: tokenizer.train_from_iterator([text], trainer)


def llama_2():
    """`▁` for spaces, one before every text, bytes for what is rare, `<s>` in front."""
    tokenizer, train = trained(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
                               special=["<unk>", "<s>", "</s>", *BYTES])  # fmt: skip
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    train()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    record = json.loads(tokenizer.to_str())  # bytes are ordinary tokens in published files
    record["added_tokens"] = [token for token in record["added_tokens"] if token["content"] not in BYTES]
    return Tokenizer.from_str(json.dumps(record))


def llama_3():
    """Byte-level with a pattern of its own and a token in front."""
    tokenizer, train = trained(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LETTERS), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    train()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|begin_of_text|>", *ENDS])
    begin = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[begin])
    return tokenizer


def qwen():
    """Byte-level, after Unicode's composed form."""
    tokenizer, train = trained(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(False)
    train()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(ENDS)
    return tokenizer


MAKERS = {"llama_2": llama_2, "llama_3": llama_3, "qwen": qwen}


@pytest.fixture(params=MAKERS)
def folder(request, tmp_path) -> Path:
    MAKERS[request.param]().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return tmp_path


def test_a_published_tokenizer_gives_the_ids_of_auto_tokenizer(folder):
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = read_tokenizer(folder, 520, ())
    assert isinstance(ours, ImportedTokenizer)
    ours.save(folder / "saved")
    again = load_tokenizer(folder / "saved")
    assert again.content_hash() == ours.content_hash()
    for sample in SAMPLES:
        assert encode_prompt(ours, sample) == theirs(sample)["input_ids"] == encode_prompt(again, sample), sample
        ids = ours.encode(sample)
        prefix = " " if theirs.decode(ids) != ours.decode(ids) else ""  # `▁` before every text
        assert ours.decode(ids) == prefix + theirs.decode(ids)


def test_special_tokens_are_text_unless_asked_for(folder):
    ours = read_tokenizer(folder, 520, ())
    for token, number in ours.special_ids.items():
        assert number not in ours.encode(f"a {token} b")
        assert number in ours.encode(f"a {token} b", special="token")


def test_ids_without_a_token_are_nothing_and_ids_that_are_not_scored_are_refused(folder):
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = read_tokenizer(folder, 520, ())
    assert ours.vocab_size == 520 > theirs.get_vocab_size()
    assert ours.decode([519]) == "" and ours.token_text(519) == "[519]"
    fewer = read_tokenizer(folder, 300, ())
    with pytest.raises(TextError, match="which the model does not score"):
        fewer.encode(TEXT)


def test_a_text_ends_at_each_of_its_ends(tmp_path):
    tokenizer = llama_3()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids = [tokenizer.token_to_id(token) for token in ENDS]
    ours = read_tokenizer(tmp_path, 520, [*ids, 9_999])
    assert (ours.end_of_text, ours.ends) == (ids[0], tuple(ids))
    assert ours.beginning == (tokenizer.token_to_id("<|begin_of_text|>"),)


def test_a_folder_without_a_tokenizer_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer.json: .*save_pretrained"):
        read_tokenizer(tmp_path, 10, ())
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="not JSON"):
        read_tokenizer(tmp_path, 10, ())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_what_a_family_names_opens_a_tokenizer_that_no_family_has(family, tmp_path):
    tokenizer = CharacterTokenizer("".join(sorted(set(TEXT))))
    write_tokenizer(tmp_path, tokenizer, 64)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family.model_type, "num_experts_per_tok": 2}))
    opened = getattr(transformers, family.tokenizer_class).from_pretrained(tmp_path)
    assert opened("The king, don't")["input_ids"] == tokenizer.encode("The king, don't")
