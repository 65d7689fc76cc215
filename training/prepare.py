"""From a run's configuration to the numbers it trains on: the tokenizer, the token files, and data.json.

The first attempt of a run does the work and writes it down; a resumed one finds everything in place and needs neither
the uploaded file nor an unchanged training.txt.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from config.errors import RunError, TextError
from config.run_config import RunConfig
from runs.files import write_json
from runs.folder import RunFolder
from text.corpus import read_text
from text.token_file import open_tokens, prepare_tokens
from text.tokenizer import Tokenizer, load_tokenizer, train_tokenizer


@dataclass(frozen=True)
class PreparedText:
    """Both splits of a run's text as token ids, read from disk where they are touched."""

    tokenizer: Tokenizer
    train: np.ndarray  # [token]
    val: np.ndarray  # [token]
    val_bytes: int  # UTF-8 bytes of the validation text, for bits per byte


def prepare_text(run: RunFolder, config: RunConfig, beat: Callable[[], None] = lambda: None) -> PreparedText:
    """The tokens of a run; made now if this is its first attempt.

    Args:
        beat: called now and then while the work takes long.

    Raises:
        TextError: for a text that is missing, unreadable or too short, or a vocabulary that cannot be learned from it.
    """
    if run.data_path.exists() and (prepared := _find_prepared(run)):
        return prepared
    corpus = read_text(config.data.text_file, config.data.encoding, config.data.data_size)
    beat()
    tokenizer = train_tokenizer(
        config.data.tokenizer_type, corpus, config.data.vocab_size, val_fraction=config.data.val_fraction
    )
    beat()
    files = prepare_tokens(
        corpus,
        tokenizer,
        run.path.parent / ".tokens",
        val_fraction=config.data.val_fraction,
        n_ctx=config.model.n_ctx,
        progress=lambda done, total: beat(),
    )
    tokenizer.save(run.tokenizer_path)
    write_json(
        run.data_path,
        {
            "name": corpus.name,
            "corpus_sha256": corpus.sha256,
            "corpus_bytes": corpus.bytes,
            "characters": len(corpus.text),
            "notes": list(corpus.notes),
            "val_fraction": config.data.val_fraction,
            "d_vocab": tokenizer.vocab_size,
            "token_files": files.key,
            "train_tokens": files.counts["train"],
            "val_tokens": files.counts["val"],
            "val_bytes": files.val_bytes,
        },
    )
    return PreparedText(tokenizer, open_tokens(files.train), open_tokens(files.val), files.val_bytes)


def _find_prepared(run: RunFolder) -> PreparedText | None:
    """What an earlier attempt prepared, or None where the shared token files are gone and must be made again."""
    data = run.read_data()
    tokenizer = load_tokenizer(run.tokenizer_path)
    try:
        folder = run.path.parent / ".tokens" / data["token_files"]
        return PreparedText(
            tokenizer, open_tokens(folder / "train.bin"), open_tokens(folder / "val.bin"), data["val_bytes"]
        )
    except TextError:
        return None
    except KeyError as error:
        raise RunError(f"data.json of run {run.id} is damaged: {error} is missing") from error
