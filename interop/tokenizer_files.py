"""The tokenizer of a Hugging Face folder: tokenizer.json and tokenizer_config.json, read and written.

Reading: where one of our own tokenizers would be written as the very same tokenizer.json, it is ours; everything else
is taken as it is and run by their library (text/imported.py). Either way the ids are those of `AutoTokenizer`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from config.errors import CheckpointError, TextError
from interop.character_json import character_json, characters_of
from interop.sentence_piece_json import sentence_piece_json
from text.byte import ByteTokenizer
from text.byte_pair import BytePairTokenizer
from text.character import CharacterTokenizer
from text.gpt2 import Gpt2Tokenizer
from text.hugging_face_json import hugging_face_json
from text.imported import ImportedTokenizer
from text.merge_tokenizer import MergeTokenizer, parse_merge, to_signs
from text.sentence_piece import SentencePieceTokenizer
from text.tokenizer import Tokenizer
from text.words import PATTERNS

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
MODEL = "tokenizer.model"  # of SentencePiece, for programs that read it themselves
LARGEST_FILE_BYTES = 200_000_000


def read_tokenizer(folder: Path, d_vocab: int, ends: Sequence[int]) -> Tokenizer:
    """The tokenizer of a folder, for a model that scores `d_vocab` ids.

    Raises:
        CheckpointError: there is none, or none in this form.
        TextError: it cannot be used.
    """
    path = folder / FILE
    if not path.is_file():
        raise CheckpointError(
            f"{folder} has no {FILE}: open its tokenizer once with AutoTokenizer and save it there (save_pretrained)."
        )
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise CheckpointError(f"{path} is larger than {LARGEST_FILE_BYTES:,} bytes, which no tokenizer is.")
    content = path.read_bytes()
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is damaged: it is not JSON.") from None
    for make in (_byte, _byte_pair, _gpt2, _character, _sentence_piece):
        ours = _try(make, record, folder)
        if ours is not None and ours.vocab_size == d_vocab and ours.ends == tuple(ends):
            return ours
    return ImportedTokenizer(content, d_vocab, ends)


def write_tokenizer(folder: Path, tokenizer: Tokenizer, n_ctx: int) -> None:
    """tokenizer.json and tokenizer_config.json, with which `AutoTokenizer` gives the same ids.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / FILE).write_bytes(tokenizer_json(tokenizer))
    if isinstance(tokenizer, SentencePieceTokenizer):
        (folder / MODEL).write_bytes(tokenizer.model)
    end = None if tokenizer.end_of_text is None else tokenizer.token_bytes[tokenizer.end_of_text].decode()
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": n_ctx,
        "clean_up_tokenization_spaces": False,
        "eos_token": end,
    }
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def tokenizer_json(tokenizer: Tokenizer) -> bytes:
    """Any of our tokenizers in their format."""
    match tokenizer:
        case ImportedTokenizer():
            return tokenizer.content
        case MergeTokenizer():
            merges = [(to_signs(left), to_signs(right)) for left, right in tokenizer.merges]
            tokens = [to_signs(token) for token in tokenizer.ranks]
            return hugging_face_json(tokens, merges, tokenizer.special_ids, tokenizer.pattern)
        case ByteTokenizer():
            signs = [to_signs(bytes([byte])) for byte in range(256)]
            return hugging_face_json(signs, [], tokenizer.special_ids, "gpt2")
        case CharacterTokenizer():
            return character_json(tokenizer.characters, tokenizer.special_ids)
        case SentencePieceTokenizer():
            return sentence_piece_json(tokenizer, tokenizer.special_ids)
    raise AssertionError(f"no way to write a {tokenizer.type} tokenizer")


def _try(make: Callable[[Mapping[str, Any], Path], Tokenizer], record: Any, folder: Path) -> Tokenizer | None:
    """Our tokenizer, if what it would be written as says the same as `record`."""
    try:
        ours = make(record, folder)
        written = json.loads(tokenizer_json(ours))
        same = _meaning(written) == _meaning(record)
    except (TextError, KeyError, TypeError, ValueError, AttributeError, OSError):
        return None  # another kind of tokenizer altogether
    return ours if same else None


def _meaning(record: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json without what changes nothing: how it is cut short or filled up, and defaults left out."""
    model = dict(record["model"])
    if "merges" in model:
        model["merges"] = [line.split(" ") if isinstance(line, str) else list(line) for line in model["merges"]]
    defaults = {"dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}  # fmt: skip
    for name, default in defaults.items():
        if model.get(name) in (default, ""):
            model.pop(name, None)
    added = [(token["id"], token["content"], token["special"]) for token in record["added_tokens"]]
    byte_level = {"use_regex": True, "trim_offsets": True}

    def complete(part: Any) -> Any:
        is_byte_level = isinstance(part, dict) and part.get("type") == "ByteLevel"
        return byte_level | part | {"trim_offsets": True} if is_byte_level else part

    return {
        "model": {"vocab": {}, **model, "type": model.get("type", "BPE")},
        "added_tokens": sorted(added),
        "normalizer": record["normalizer"],
        "pre_tokenizer": complete(record["pre_tokenizer"]),
        # ByteLevel as a post-processor only moves offsets.
        "post_processor": None if _is_byte_level(record["post_processor"]) else record["post_processor"],
        "decoder": "ByteLevel" if _is_byte_level(record["decoder"]) else record["decoder"],
    }


def _is_byte_level(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "ByteLevel"


def _specials(record: Mapping[str, Any]) -> list[str]:
    return [token["content"] for token in sorted(record["added_tokens"], key=lambda token: token["id"])]


def _byte(record: Mapping[str, Any], folder: Path) -> Tokenizer:
    return ByteTokenizer(_specials(record))


def _character(record: Mapping[str, Any], folder: Path) -> Tokenizer:
    return CharacterTokenizer(characters_of(record), _specials(record))


def _sentence_piece(record: Mapping[str, Any], folder: Path) -> Tokenizer:
    model = (folder / MODEL).read_bytes()
    return SentencePieceTokenizer(model, record["model"]["type"].lower(), _specials(record))


def _byte_pair(record: Mapping[str, Any], folder: Path) -> Tokenizer:
    return _merging(BytePairTokenizer, record)


def _gpt2(record: Mapping[str, Any], folder: Path) -> Tokenizer:
    return _merging(Gpt2Tokenizer, record)


def _merging(kind: type[MergeTokenizer], record: Mapping[str, Any]) -> Tokenizer:
    merges = [line if isinstance(line, str) else " ".join(line) for line in record["model"]["merges"]]
    pattern = "gpt2" if record["pre_tokenizer"].get("type") == "ByteLevel" else "gpt4"
    assert pattern in PATTERNS
    return kind([parse_merge(line) for line in merges], _specials(record), pattern)
