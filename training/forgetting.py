"""Forgetting: how well a fine-tuned model still predicts the text that its parent was trained on.

The parent's validation text is scored beside the run's own at every evaluation. The numbers go into the metrics as
`parent_val_loss_nats` and `parent_val_bits_per_byte`; the token files of that text stay as long as a run names them.
"""

from pathlib import Path

import numpy as np

from config.errors import CheckpointError, RunError, TextError
from config.run_config import RunConfig
from runs.folder import RunFolder
from text.batches import BatchSource, Windows
from text.packing import PackedPairs
from text.pair_tokens import open_pairs
from text.token_file import open_tokens, read_manifest
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer

RECODED_TOKENS = 200_000  # of the parent's text, where another tokenizer has to cut it anew


def parents_text(run: RunFolder, config: RunConfig, tokenizer: Tokenizer) -> BatchSource | None:
    """The validation split of the parent's text, as tokens of this run; None where there is none to be forgotten.

    That is: a run without a parent, one that goes on with the parent's own text, imported weights whose text nobody
    knows, and a text whose token files are gone or have no room for a window.
    """
    if config.parent is None or not config.parent.token_files:
        return None
    if config.parent.token_files == run.read_data().get("token_files"):
        return None
    try:
        return _open(run, run.path.parent / ".tokens" / config.parent.token_files, tokenizer, config.model.n_ctx)
    except (TextError, RunError, CheckpointError):
        return None


def _open(run: RunFolder, folder: Path, tokenizer: Tokenizer, n_ctx: int) -> BatchSource | None:
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    same = manifest["tokenizer"]["sha256"] == tokenizer.content_hash()
    if "pairs" in manifest:
        return PackedPairs(open_pairs(folder, "val"), n_ctx, "validation") if same else None
    tokens: np.ndarray = open_tokens(folder / "val.bin")
    if not same:
        old = load_tokenizer(RunFolder(run.base_path).tokenizer_path)
        tokens = tokenizer.encode_array(old.decode(tokens[:RECODED_TOKENS]), unknown="skip")
    return Windows(tokens, n_ctx) if len(tokens) > n_ctx else None
