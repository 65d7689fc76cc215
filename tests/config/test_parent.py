"""The parent of a run in its config.json: read back with exact types, or refused in a sentence."""

import pytest

from config.data_config import DataConfig
from config.errors import ConfigError
from config.inheritance import inherit_data, same_text, same_tokenizer
from config.model_config import ModelConfig
from config.parent import Parent
from config.run_config import RunConfig

PARENT = {"run": "20261130141502", "step": 500, "path": "somewhere", "weights_sha256": 64 * "a", "token_files": "",
          "carried": "weights"}  # fmt: skip


def test_a_run_without_a_parent_says_nothing_about_one_and_one_with_it_reads_it_back():
    plain = RunConfig(model=ModelConfig())
    assert "parent" not in plain.to_dict() and RunConfig.from_dict(plain.to_dict()) == plain
    forked = RunConfig(model=ModelConfig(), parent=Parent.from_dict(PARENT))
    assert RunConfig.from_dict(forked.to_dict()) == forked and forked.to_dict()["parent"] == PARENT


@pytest.mark.parametrize("change, words", [
    ({"step": True}, "step is 'True'"),
    ({"step": "500"}, "step is '500'"),
    ({"run": 7}, "run is '7'"),
    ({"carried": "some"}, "carried is 'some'"),
    ({"step": -1}, "cannot be those of a checkpoint"),
    ({"weights_sha256": "ab\n"}, "cannot be those of a checkpoint"),
    ({"token_files": "../../other"}, "token_files is '../../other'"),
    ({"token_files": ".."}, "token_files is '..'"),
    ({"more": 1}, "it should be a table with run, step"),
])  # fmt: skip
def test_a_damaged_parent_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        RunConfig.from_dict(RunConfig(model=ModelConfig()).to_dict() | {"parent": PARENT | change})
    with pytest.raises(ConfigError, match="it should be a table"):
        RunConfig.from_dict(RunConfig(model=ModelConfig()).to_dict() | {"parent": [1]})


def test_another_text_comes_with_its_own_size_and_encoding_and_the_parents_tokenizer():
    parent = DataConfig(text_file="old.txt", data_size="100k", encoding="latin-1", tokenizer_type="bpe", vocab_size=300)
    assert inherit_data(parent, {}) == parent.to_dict()
    inherited = DataConfig(**inherit_data(parent, {"text_file": "new.txt", "val_fraction": 0.2}))
    assert (inherited.data_size, inherited.encoding, inherited.val_fraction) == ("1.0", "utf-8", 0.2)
    assert same_tokenizer(inherited, parent) and not same_text(inherited, parent)
    assert not same_tokenizer(parent.replace(vocab_size=301), parent)
    character = DataConfig()
    assert same_tokenizer(character.replace(vocab_size=301), character)  # which has no size of its own
