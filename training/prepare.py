"""From a run's configuration to the numbers it trains on: the tokenizer, the token files, and data.json.

The first attempt of a run does the work and writes it down; a resumed one finds everything in place and needs neither
the uploaded file nor an unchanged training.txt. A text that `python -m text.prepare` has cut already is used as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.errors import RunError, TextError
from config.inheritance import same_tokenizer
from config.run_config import RunConfig
from runs.files import write_json
from runs.folder import RunFolder
from runs.shared_files import tokens_folder
from text.batches import BatchSource, Windows
from text.corpus import Corpus, check_text, read_text, split_position
from text.learn import extend_tokenizer, learn_tokenizer, sampling_note
from text.packing import PackedPairs
from text.pair_tokens import cut_pairs, open_pairs, prepare_pairs
from text.pairs import read_pairs
from text.prepared import find_prepared, follow_prepared, link_tokens
from text.processes import useful_processes
from text.token_file import TokenFiles, check_lengths, open_tokens, prepare_tokens
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer
from training.forgetting import parents_text


@dataclass(frozen=True)
class PreparedText:
    """Both splits of a run's text as token ids, read from disk where they are touched.

    Attributes:
        notes: sentences about them, to be shown.
        prompt: what the model should be asked while it trains; "" where the text suggests nothing.
        parents_val: the validation split of the text that the parent was trained on, where it is another one.
    """

    tokenizer: Tokenizer
    train: BatchSource
    val: BatchSource
    notes: tuple[str, ...] = ()
    prompt: str = ""
    parents_val: BatchSource | None = None


# A validation split with this many characters for each token of a window has room for one, however long its tokens are.
ENOUGH_CHARACTERS = 64


def check_trainable(data: DataConfig, n_ctx: int, parent: RunFolder | None = None) -> None:
    """Find at once what `prepare_text` would refuse; a short text is cut into tokens for that, a huge one only begun.

    Args:
        parent: The run that the new one begins from; its tokenizer may be kept.

    Raises:
        TextError: as `prepare_text`.
    """
    if data.text_kind == "pairs":
        pairs = read_pairs(data)
        tokenizer = choose_tokenizer(data, pairs.to_learn_from, parent)
        for title, split in (("training", pairs.train), ("validation", pairs.val)):
            PackedPairs(cut_pairs(split, tokenizer), n_ctx, title)
        return
    if (folder := find_prepared(data.text_file)) is not None:
        corpus = folder.manifest["corpus"]
        check_lengths(folder.files.counts, corpus["name"], corpus["characters"], n_ctx)
        return
    text = check_text(data.text_file, data.encoding, data.data_size)
    is_long = text is None or text.characters * data.val_fraction > ENOUGH_CHARACTERS * (n_ctx + 1)
    if text is None or (is_long and data.tokenizer_type != "gpt2"):  # which may have to be fetched, and then may fail
        return
    tokenizer = choose_tokenizer(data, text, parent)
    if not is_long:
        border = split_position(text, data.val_fraction)
        splits = {"train": text.text[:border], "val": text.text[border:]}
        counts = {name: len(tokenizer.encode_array(split)) for name, split in splits.items()}
        check_lengths(counts, text.name, text.characters, n_ctx)


def prepare_text(run: RunFolder, config: RunConfig, beat: Callable[[], None] = lambda: None) -> PreparedText:
    """The tokens of a run; made now if this is its first attempt.

    Args:
        beat: called now and then while the work takes long.

    Raises:
        TextError: for a text that is missing, unreadable or too short, or a vocabulary that cannot be learned from it.
    """
    prepared = _find_prepared(run, config) if run.data_path.exists() else None
    if prepared is None:
        prepared = _prepare_anew(run, config, beat)
    return replace(prepared, parents_val=parents_text(run, config, prepared.tokenizer))


def _prepare_anew(run: RunFolder, config: RunConfig, beat: Callable[[], None]) -> PreparedText:
    tokens = run.path.parent / ".tokens"
    if (folder := find_prepared(config.data.text_file)) is not None:
        follow_prepared(folder, config.data, config.data.to_dict())
        corpus, tokenizer = folder.manifest["corpus"], folder.load_tokenizer()
        _refuse_other_text(run, config, corpus["sha256"])
        files = link_tokens(folder, tokens)
        check_lengths(files.counts, corpus["name"], corpus["characters"], config.model.n_ctx)
    else:
        make = _make_pairs if config.data.text_kind == "pairs" else _make_tokens
        corpus, tokenizer, files = make(run, config, tokens, beat)
    tokenizer.save(run.tokenizer_path)
    prepared = _open(config, tokenizer, tokens / files.key)
    write_json(
        run.data_path,
        {
            "name": corpus["name"],
            "corpus_sha256": corpus["sha256"],
            "corpus_bytes": corpus["bytes"],
            "characters": corpus["characters"],
            "notes": corpus["notes"],
            "val_fraction": config.data.val_fraction,
            "d_vocab": _d_vocab(run, config, tokenizer),
            "token_files": files.key,
            "train_tokens": files.counts["train"],
            "inputs_per_pass": len(prepared.train),
            "val_tokens": files.counts["val"],
            "val_bytes": files.val_bytes,
        },
    )
    return prepared


def _open(config: RunConfig, tokenizer: Tokenizer, folder: Path) -> PreparedText:
    if config.data.text_kind == "text":
        train, val = (Windows(open_tokens(folder / f"{split}.bin"), config.model.n_ctx) for split in ("train", "val"))
        return PreparedText(tokenizer, train, val)
    pairs = open_pairs(folder, "val")
    packed = [
        PackedPairs(open_pairs(folder, "train"), config.model.n_ctx, "training"),
        PackedPairs(pairs, config.model.n_ctx, "validation"),
    ]
    tokens, n_prompt = pairs.document(0)
    notes = [sentence for split in packed for sentence in split.sentences()]
    return PreparedText(tokenizer, packed[0], packed[1], tuple(notes), tokenizer.decode(tokens[:n_prompt]))


def _make_pairs(
    run: RunFolder, config: RunConfig, root: Path, beat: Callable[[], None]
) -> tuple[dict[str, Any], Tokenizer, TokenFiles]:
    """Read pairs of prompts and responses, learn a tokenizer where none is kept, and cut them with it."""
    pairs = read_pairs(config.data)
    beat()
    _refuse_other_text(run, config, pairs.corpus.sha256)
    if run.data_path.exists():
        tokenizer = load_tokenizer(run.tokenizer_path)
    else:
        tokenizer = choose_tokenizer(config.data, pairs.to_learn_from, base_of(run, config), beat=beat)
    return pairs.corpus.record(), tokenizer, prepare_pairs(pairs, tokenizer, root, config.data.val_fraction, beat)


def _make_tokens(
    run: RunFolder, config: RunConfig, root: Path, beat: Callable[[], None]
) -> tuple[dict[str, Any], Tokenizer, TokenFiles]:
    """Read the text, learn a tokenizer and cut the text with it."""
    data = config.data
    corpus = read_text(data.text_file, data.encoding, data.data_size, report=lambda done, total: beat())
    beat()
    _refuse_other_text(run, config, corpus.sha256)
    begun = run.data_path.exists()  # then only the shared token files are gone, and the run's own tokenizer cuts again
    processes = useful_processes(corpus.bytes)
    if begun:
        tokenizer = load_tokenizer(run.tokenizer_path)
    else:
        tokenizer = choose_tokenizer(data, corpus, base_of(run, config), processes, beat)
    files = prepare_tokens(
        corpus, tokenizer, root, data.val_fraction, config.model.n_ctx, lambda done, total: beat(), processes
    )
    record = corpus.record()
    if sentence := sampling_note(data.tokenizer_type, corpus, data.val_fraction):
        record["notes"].append(sentence)
    return record, tokenizer, files


def choose_tokenizer(
    data: DataConfig,
    corpus: Corpus,
    parent: RunFolder | None = None,
    processes: int = 1,
    beat: Callable[[], None] | None = None,
) -> Tokenizer:
    """The parent's tokenizer, with the characters that it lacks, where the same kind is wanted; else one that is
    learned from the text."""
    if parent and same_tokenizer(data, parent.read_config().data):
        return extend_tokenizer(load_tokenizer(parent.tokenizer_path), corpus)
    return learn_tokenizer(
        data.tokenizer_type, corpus, data.vocab_size, data.val_fraction, bpe_pattern=data.bpe_pattern,
        sentencepiece_model=data.sentencepiece_model, processes=processes, beat=beat,
    )  # fmt: skip


def base_of(run: RunFolder, config: RunConfig) -> RunFolder | None:
    """What a run began from, as a run folder; None for a run that began from nothing."""
    begins_here = config.parent and config.parent.carried == "weights"
    return RunFolder(run.base_path) if begins_here or config.lora.is_on else None


def _d_vocab(run: RunFolder, config: RunConfig, tokenizer: Tokenizer) -> int:
    """Rows of the embedding: one for each token. A kept tokenizer keeps the parent's, of which some may be spare."""
    base = base_of(run, config)
    if base and load_tokenizer(base.tokenizer_path).content_hash() == tokenizer.content_hash():
        return base.read_model_config().d_vocab
    return tokenizer.vocab_size


def _refuse_other_text(run: RunFolder, config: RunConfig, sha256: str) -> None:
    """A run goes on with the text it began with: its weights mean nothing with another tokenizer and other text.

    Raises:
        RunError: the run began with another text.
    """
    if run.data_path.exists() and run.read_data().get("corpus_sha256") != sha256:
        raise RunError(
            f"{config.data.text_file} is not the text that run {run.id} began with, and its token files are gone: "
            "put the old text back, or start a new run"
        )


def _find_prepared(run: RunFolder, config: RunConfig) -> PreparedText | None:
    """What an earlier attempt prepared, or None where the shared token files are gone and must be made again."""
    tokenizer = load_tokenizer(run.tokenizer_path)
    try:
        return _open(config, tokenizer, tokens_folder(run))
    except TextError:
        return None
