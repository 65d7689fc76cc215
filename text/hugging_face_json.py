"""A byte-level BPE tokenizer as a Hugging Face `tokenizer.json`, which `tokenizers` and `transformers` open.

It gives the same ids for every text (tokenizers 0.23 and tiktoken 0.14 know the same version of Unicode), but that it
always takes the text of a special token for the token itself, as ours does when asked (`special="token"`).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

FILE_NAME = "hugging_face/tokenizer.json"
# As in text/words.py, in the dialect of Oniguruma, where {1,3}+ and $ mean something else. GPT-2's is built in there.
PATTERNS = {
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
}


def hugging_face_json(
    tokens: Sequence[str], merges: Sequence[tuple[str, str]], special_ids: Mapping[str, int], pattern: str
) -> bytes:
    """The content of the file.

    Args:
        tokens: Token 0, 1, 2 … without the special ones, in GPT-2's visible signs.
        merges: Pairs of such tokens, in order.
        special_ids: Text and id of each special token.
        pattern: Name in `text.words.PATTERNS`.
    """
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    record = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **added} for token, number in special_ids.items()],
        "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(pattern, byte_level),
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": merges,
        },
    }
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()


def _pre_tokenizer(pattern: str, byte_level: dict[str, Any]) -> dict[str, Any]:
    if pattern == "gpt2":
        return {**byte_level, "use_regex": True}
    split = {"type": "Split", "pattern": {"Regex": PATTERNS[pattern]}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, {**byte_level, "use_regex": False}]}
