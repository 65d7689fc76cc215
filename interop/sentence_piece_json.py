"""A SentencePiece tokenizer as a tokenizer.json: the same pieces, with `▁` for a space and bytes for rare characters.

A unigram model is its pieces with their scores. A bpe model of SentencePiece has scores, too, which say what it learned
first; their BPE wants merges instead, two parts of a piece: every way to cut a piece in two pieces, in the order in
which the pieces were learned.
"""

import json
from collections.abc import Mapping
from typing import Any

import sentencepiece

from text.sentence_piece import SPACE_SIGN, SentencePieceTokenizer


def sentence_piece_json(tokenizer: SentencePieceTokenizer, special_ids: Mapping[str, int]) -> bytes:
    """The content of the file."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    spaces = [{"type": "Replace", "pattern": {"String": SPACE_SIGN}, "content": " "}]
    record = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": token, **flags} for token, number in special_ids.items()],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_SIGN},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [*spaces, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": model_of(tokenizer.processor),
    }
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()


def model_of(processor: sentencepiece.SentencePieceProcessor) -> dict[str, Any]:
    """Their description of the pieces."""
    ids = range(processor.get_piece_size())
    pieces, scores = [processor.id_to_piece(token) for token in ids], [processor.get_score(token) for token in ids]
    learned = [token for token in ids if not (processor.is_byte(token) or processor.is_unknown(token))]
    unknown = processor.unk_id()
    # The pieces of bpe have the scores 0, -1, -2 … in the order in which they were learned.
    if all(scores[token] == -place for place, token in enumerate(learned)):
        return {
            "type": "BPE",
            "unk_token": pieces[unknown],
            "byte_fallback": True,
            "fuse_unk": False,
            "ignore_merges": False,
            "vocab": {piece: token for token, piece in enumerate(pieces)},
            "merges": _merges([pieces[token] for token in learned]),
        }
    return {
        "type": "Unigram",
        "unk_id": unknown,
        "vocab": [[piece, score] for piece, score in zip(pieces, scores, strict=True)],
        "byte_fallback": True,
    }


def _merges(pieces: list[str]) -> list[tuple[str, str]]:
    """Every cut of a piece into two pieces, piece by piece, the longest first part first."""
    known = set(pieces)
    return [
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(len(piece) - 1, 0, -1)
        if piece[:cut] in known and piece[cut:] in known
    ]
