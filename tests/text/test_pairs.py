"""Pairs of prompts and responses: read, refused with line and field, cut at a border of tokens."""

import json

import numpy as np
import pytest

from config.data_config import DataConfig
from config.errors import ConfigError, TextError
from text.pair_tokens import cut_pairs, open_pairs, prepare_pairs
from text.pairs import read_pairs
from text.tokenizer_types import train_tokenizer

SETTINGS = {"text_kind": "pairs", "val_fraction": 0.5}
PAIRS = [
    ("Name a bird.", "The wren."),
    ('Say "hello", please.', "Hello!"),
    ("Two\nlines?", "Yes,\r\ntwo."),
    ("3 + 4", "7"),
]


def pairs_of(path, **settings):
    return read_pairs(DataConfig(**(SETTINGS | {"text_file": str(path)} | settings)))


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "qa.csv"
    rows = [",".join('"' + field.replace('"', '""') + '"' for field in pair) for pair in PAIRS]
    path.write_bytes(("\ufeffprompt,response\n" + "\n".join(rows) + "\n").encode())
    return path


@pytest.fixture
def json_file(tmp_path):
    path = tmp_path / "qa.jsonl"
    lines = [json.dumps({"response": response, "prompt": prompt, "more": 1}) for prompt, response in PAIRS]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    return path


def test_csv_and_json_lines_are_the_same_texts_with_visible_markers(csv_file, json_file):
    one, other = pairs_of(csv_file), pairs_of(json_file)
    assert (one.train, one.val) == (other.train, other.val)
    assert [pair.prompt for pair in one.train] == [
        "Prompt: Name a bird.\nResponse: ",
        "Prompt: Two\nlines?\nResponse: ",
    ]
    assert [pair.response for pair in one.train] == ["The wren.\n\n", "Yes,\ntwo.\n\n"]
    assert one.val[1].prompt + one.val[1].response == "Prompt: 3 + 4\nResponse: 7\n\n"
    assert "hello" not in one.to_learn_from.text and "4" in one.to_learn_from.alphabet
    assert one.corpus.text.startswith("Prompt: Name a bird.\nResponse: The wren.\n\nPrompt")


def test_the_template_and_the_fields_can_be_chosen(tmp_path):
    path = tmp_path / "qa.csv"
    path.write_text("id,question,answer\n1,a,b\n2,c,d\n")
    found = pairs_of(
        path, prompt_field="question", response_field="answer", pair_template=r"Q {prompt}\tA {response} .\n"
    )
    assert (found.train[0].prompt, found.train[0].response) == ("Q a\tA ", "b .\n")
    for template in ("no places", "{response} before {prompt}", "{prompt} {prompt} {response}"):
        with pytest.raises(ConfigError, match="must have"):
            DataConfig(pair_template=template)


def test_pairs_validate_evenly_spread_and_each_belongs_to_one_split(tmp_path):
    path = tmp_path / "qa.csv"
    path.write_text("prompt,response\n" + "".join(f"p{number},r{number}\n" for number in range(1, 101)))
    found = pairs_of(path, val_fraction=0.1)
    assert [pair.response.strip() for pair in found.val] == [f"r{number}" for number in range(10, 101, 10)]
    assert len(found.train) == 90 and not set(found.train) & set(found.val)
    some = pairs_of(path, val_fraction=0.1, data_size="20")
    assert (len(some.train), len(some.val)) == (18, 2)
    few = pairs_of(path, val_fraction=0.1, data_size="3")
    assert (len(few.train), len(few.val)) == (2, 1)


@pytest.mark.parametrize("name, content, words", [
    ("a.csv", b"question,answer\na,b\n", r"line 1 of .*a.csv names no column 'prompt', but 'question', 'answer'"),
    ("a.csv", b"prompt,response\na,b\nc,d,e\n", r"line 3 of .* has 3 fields where line 1 names 2"),
    ("a.csv", b'prompt,response\n"a\nb",c\nd, \n', r"line 4 of .*: its field 'response' is empty"),
    ("a.csv", b'prompt,response\na,"b\n', r"line 2 of .*a.csv is not CSV"),
    ("a.csv", b"prompt,response\na,\xff\n", r"line 2 of .* is not UTF-8: it has the byte 0xff; .*--encoding latin-1"),
    ("a.csv", b"prompt,response\na,b\0\n", r"line 2 of .* has a zero in it"),
    ("a.csv", b"prompt,response\na,b\n", r"has 1 pairs"),
    ("a.csv", b"", r"line 1 of .* names no column 'prompt', but nothing"),
    ("a.jsonl", b'{"prompt": "a", "response": "b"}\n{"prompt": "c"}\n', r"line 2 .* no field 'response', but 'prompt'"),
    ("a.jsonl", b'{"prompt": "a", "response": 7}\n', r"line 1 of .*: its field 'response' is no text, but 7"),
    ("a.jsonl", b'{"prompt": "a", "response": "b"}\n[1]\n', r"line 2 of .* is not a JSON object"),
    ("a.jsonl", b'{"prompt": "a", \n', r"line 1 of .*a.jsonl is not JSON"),
    ("a.jsonl", b'{"prompt": "\\ud800", "response": "b"}\n', r"line 1 of .* is half of a surrogate pair"),
    ("a.jsonl", b"", r"has 0 pairs"),
    ("a.txt", b"x", r"is not a file of pairs: give a .csv or a .jsonl"),
])  # fmt: skip
def test_bad_files_are_refused_with_line_and_field(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=words):
        pairs_of(tmp_path / name)


def test_a_missing_file_and_an_odd_line_break(tmp_path):
    with pytest.raises(TextError, match=r"there is no file .*none.csv"):
        pairs_of(tmp_path / "none.csv")
    path = tmp_path / "odd.csv"
    path.write_text("prompt,response\na\u2028b,c\nd,e\n", encoding="utf-8")  # no line break to CSV
    assert pairs_of(path).train[0].prompt == "Prompt: a\u2028b\nResponse: "


@pytest.mark.parametrize("kind", ["character", "byte", "bpe", "sentencepiece"])
def test_prompt_and_response_are_cut_apart_and_come_back_whole(csv_file, tmp_path, kind):
    pairs = pairs_of(csv_file)
    tokenizer = train_tokenizer(kind, pairs.corpus.text * 9, 300, val_fraction=0)
    found = cut_pairs(pairs.train, tokenizer)
    for number, pair in enumerate(pairs.train):
        tokens, n_prompt = found.document(number)
        assert tokenizer.decode(tokens[:n_prompt]) == pair.prompt
        assert tokenizer.decode(tokens[n_prompt:]) == pair.response
        assert tokens[:n_prompt].tolist() == tokenizer.encode(pair.prompt)  # as the model is asked later
    files = prepare_pairs(pairs, tokenizer, tmp_path / "tokens", 0.5)
    again = prepare_pairs(pairs, tokenizer, tmp_path / "tokens", 0.5)
    assert files.key == again.key and len(list((tmp_path / "tokens").iterdir())) == 1
    opened = open_pairs(files.train.parent, "train")
    assert np.array_equal(opened.tokens, found.tokens) and np.array_equal(opened.places, found.places)


def test_damaged_places_are_noticed_and_other_borders_are_other_files(csv_file, tmp_path):
    pairs = pairs_of(csv_file)
    tokenizer = train_tokenizer("byte", "", 256)
    files = prepare_pairs(pairs, tokenizer, tmp_path, 0.5)
    places = files.train.parent / "train.places"
    for content in (b"", places.read_bytes()[:-8], b"\xff" * 16):
        places.write_bytes(content)
        with pytest.raises(TextError, match="missing or damaged"):
            open_pairs(files.train.parent, "train")
    # The same characters with the border one further on: "… Response: T|he wren."
    moved = pairs_of(csv_file, pair_template=r"Prompt: {prompt}\nResponse:{response}\n\n")
    assert prepare_pairs(moved, tokenizer, tmp_path, 0.5).key != files.key
