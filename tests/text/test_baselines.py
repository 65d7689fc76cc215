"""The baseline ladder of a text: compressors, samples of large corpora, and the program that writes baselines.json."""

import gzip
import json
import lzma
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from text import baselines
from text.baselines import compute_baselines, gzip_bytes, read_baselines, sample, xz_bytes
from text.corpus import read_text
from text.ngram import ngram_nats
from text.token_file import open_tokens, prepare_tokens
from text.tokenizer_types import train_tokenizer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prepared(tmp_path, story):
    """Token files of a story, and the folder of their tokenizer."""

    def prepare(kind: str = "character", text: str = story):
        (tmp_path / "story.txt").write_text(text, encoding="utf-8")
        corpus = read_text(tmp_path / "story.txt")
        tokenizer = train_tokenizer(kind, corpus, 300)
        tokenizer.save(tmp_path / kind)
        files = prepare_tokens(corpus, tokenizer, tmp_path / ".tokens")
        return files.train.parent, tmp_path / kind, tokenizer

    return prepare


def test_compressors_count_what_the_validation_text_adds(story):
    train, val = story.encode()[:12_000], story.encode()[12_000:]
    pieces = [train[:5_000], train[5_000:]], [val[:1_000], val[1_000:]]
    for ours, theirs in (
        (gzip_bytes, lambda data: len(gzip.compress(data, 9))),
        (xz_bytes, lambda data: len(lzma.compress(data, preset=9))),
    ):
        assert ours(*map(iter, pieces)) == theirs(train + val) - theirs(train)


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_the_ladder_is_in_nats_per_token_of_the_whole_small_text(prepared, kind):
    tokens, _, tokenizer = prepared(kind)
    train, val = open_tokens(tokens / "train.bin"), open_tokens(tokens / "val.bin")
    found = compute_baselines(train, val, tokenizer)
    assert found["uniform_nats"] == math.log(tokenizer.vocab_size)
    assert [found[f"ngram_{n}_nats"] for n in range(1, 7)] == ngram_nats(train, val, tokenizer.vocab_size, 6)
    texts = tokenizer.decode_bytes(train), tokenizer.decode_bytes(val)
    more = len(gzip.compress(texts[0] + texts[1], 9)) - len(gzip.compress(texts[0], 9))
    assert found["gzip_nats"] == pytest.approx(more * 8 * math.log(2) / len(val))
    assert 0 < found["xz_nats"] < found["uniform_nats"]
    assert not found["sampled"] and found["counted_train_tokens"] == found["train_tokens"] == len(train)


def test_a_large_text_is_sampled_and_says_so(prepared, monkeypatch):
    monkeypatch.setattr(baselines, "TRAIN_TOKENS", 5_000)
    monkeypatch.setattr(baselines, "VAL_BYTES", 1_000)
    tokens, _, tokenizer = prepared()
    found = compute_baselines(open_tokens(tokens / "train.bin"), open_tokens(tokens / "val.bin"), tokenizer)
    assert found["sampled"] and found["counted_train_tokens"] == 5_000 and found["compressed_val_tokens"] == 1_000
    assert found["train_tokens"] > 5_000 and found["counted_val_tokens"] == found["val_tokens"]
    assert found["ngram_2_nats"] < found["ngram_1_nats"] and 0 < found["gzip_nats"] < found["uniform_nats"]


@pytest.mark.parametrize("length, limit", [(1_000, 1_000), (1_000, 999), (100_000, 1_000), (60, 7)])
def test_a_sample_is_spread_over_the_split_and_never_too_long(length, limit):
    tokens = np.arange(length)
    taken = sample(tokens, limit)
    assert 0.9 * limit <= len(taken) <= limit and len(np.unique(taken)) == len(taken)
    assert taken[0] == 0 and taken[-1] == length - 1


def test_the_program_writes_beside_the_tokens_at_the_lowest_priority(prepared):
    tokens, tokenizer_folder, _ = prepared()
    code = (
        "import os, sys; from text import baselines; status = baselines.main(sys.argv[1:]);"
        "print(os.nice(0), sorted({'torch', 'streamlit'} & set(sys.modules)), file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, str(tokens), str(tokenizer_folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "19 []\n")
    assert json.loads(done.stdout) == read_baselines(tokens) == json.loads((tokens / "baselines.json").read_text())


def test_what_is_missing_or_damaged_is_one_sentence(prepared, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(baselines, "_give_way", lambda: None)
    tokens, tokenizer_folder, _ = prepared()
    for arguments, words in (
        ([tmp_path / "nothing", tokenizer_folder], "train.bin is missing or damaged"),
        ([tokens, tmp_path / "nothing"], "holds no tokenizer"),
    ):
        assert baselines.main([str(path) for path in arguments]) == 2
        assert words in capsys.readouterr().err
    assert read_baselines(tokens) is None
    for content in ("{", "[]", '{"format": 0}'):
        (tokens / "baselines.json").write_text(content)
        assert read_baselines(tokens) is None
