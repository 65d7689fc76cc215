"""A folder that `python -m text.prepare` made: token files with their tokenizer, to train on as they are.

DIR/
  train.bin  val.bin  manifest.json     as in text/token_file.py
  tokenizer/                            what they were cut with
"""

import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.data_config import DataConfig
from config.errors import TextError
from config.fields import describe, is_active
from text.atomic import explain_writing
from text.token_file import MANIFEST, TEMPORARY, TokenFiles, hash_file, publish, read_manifest, read_token_files
from text.tokenizer import Tokenizer
from text.tokenizer_types import load_tokenizer

TOKENIZER = "tokenizer"


@dataclass(frozen=True)
class PreparedFolder:
    """A text that has been cut into tokens.

    Args:
        path: The folder.
        files: Its token files.
        manifest: All that manifest.json says.
    """

    path: Path
    files: TokenFiles
    manifest: dict[str, Any]

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer of the tokens.

        Raises:
            CheckpointError: it is missing or damaged.
            TextError: it is another one.
        """
        tokenizer = load_tokenizer(self.path / TOKENIZER)
        if tokenizer.content_hash() != self.manifest["tokenizer"]["sha256"]:
            raise TextError(f"{self.path / TOKENIZER} is not the tokenizer of these tokens; prepare the text again")
        return tokenizer

    def decided(self) -> dict[str, Any]:
        """The settings of `DataConfig` that were decided when the text was prepared."""
        made_with = self.manifest["tokenizer"]
        settings = {"data_size": "1.0", "encoding": "utf-8", "val_fraction": self.manifest["val_fraction"]}
        settings["tokenizer_type"] = made_with["type"]
        of_tokenizer = {
            "vocab_size": made_with["vocab_size"],
            "bpe_pattern": made_with["pattern"],
            "sentencepiece_model": made_with.get("model_type"),  # older manifests do not have it
        }
        fields = describe(DataConfig)
        known = {name: value for name, value in of_tokenizer.items() if value is not None}
        return settings | {name: value for name, value in known.items() if is_active(fields[name], settings)}


def find_prepared(path: str | Path) -> PreparedFolder | None:
    """The prepared text at `path`, or None if there is something else.

    Raises:
        TextError: it is one, but damaged.
    """
    path = Path(path)
    if not (path / MANIFEST).is_file():
        return None
    manifest, files = read_manifest(path), read_token_files(path)
    if manifest is None or files is None:
        raise TextError(f"the tokens in {path} are damaged or of another version: remove it and prepare the text again")
    return PreparedFolder(path, files, manifest)


def follow_prepared(prepared: PreparedFolder, data: DataConfig, given: Collection[str]) -> DataConfig:
    """`data` with what the prepared text decided.

    Args:
        given: Settings that a person chose: these must agree.

    Raises:
        TextError: a chosen setting says something else; settings are not ignored silently.
    """
    defaults = DataConfig()
    for name, value in prepared.decided().items():
        chosen = getattr(data, name)
        agrees = chosen == value or (name == "data_size" and chosen.strip().lower() == "all")
        if not agrees and (name in given or chosen != getattr(defaults, name)):
            raise TextError(
                f"{prepared.path} was prepared with {name} {value}: leave out --{name} {chosen}, or prepare the text "
                "again with it"
            )
    return data.replace(**prepared.decided())


def link_tokens(prepared: PreparedFolder, root: Path) -> TokenFiles:
    """The token files of a prepared text among those of all runs, `<checkpoints>/.tokens`, without a copy.

    They are hard links where the file system allows it: a run goes on when the prepared folder is removed. Otherwise
    they are symbolic links.

    Raises:
        TextError: the content of a file is not what the manifest says, or the disk is full.
    """
    key = prepared.files.key
    if (files := read_token_files(root / key, key)) is not None:
        return files
    with explain_writing(root, "start again"):
        return _link(prepared, root, key)


def _link(prepared: PreparedFolder, root: Path, key: str) -> TokenFiles:
    root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{TEMPORARY}{key}-", dir=root))
    try:
        for source in (prepared.files.train, prepared.files.val):
            if hash_file(source) != prepared.manifest["sha256"][source.stem]:
                raise TextError(f"{source} is damaged: its content is not what was prepared; prepare the text again")
            try:
                os.link(source, temporary / source.name)
            except OSError:  # another file system, or one without hard links
                os.symlink(source.resolve(), temporary / source.name)
        shutil.copyfile(prepared.path / MANIFEST, temporary / MANIFEST)
        temporary.chmod(0o755)
        return publish(temporary, root / key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
