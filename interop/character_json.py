"""The character tokenizer as a tokenizer.json: the text cut into characters, each looked up in a list of words.

Their word for a table without rules is WordLevel. It has no word for the unknown, as ours has none: a character that
the training text did not have is an error there, too.
"""

import json
from collections.abc import Mapping
from typing import Any

# One character, line breaks included (Oniguruma, where . stops at a line break otherwise).
ONE_CHARACTER = r"(?m:.)"


def character_json(characters: str, special_ids: Mapping[str, int]) -> bytes:
    """The content of the file for a character tokenizer."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    record = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **flags} for token, number in special_ids.items()],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": ONE_CHARACTER}, "behavior": "Isolated", "invert": False,
        },
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": {character: number for number, character in enumerate(characters)},
            "unk_token": "<unknown>",
        },
    }  # fmt: skip
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()


def characters_of(record: Mapping[str, Any]) -> str:
    """The characters in the order of their ids.

    Raises:
        KeyError, TypeError, AttributeError: `record` is of another kind.
    """
    vocab = record["model"]["vocab"]
    return "".join(sorted(vocab, key=vocab.__getitem__))
