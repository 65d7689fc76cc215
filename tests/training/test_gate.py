"""The gate for weights says what is wrong with a file."""

import pytest

from config.errors import CheckpointError
from training.gate import check_tensors


@pytest.mark.parametrize("size", [0, 3, 7])
def test_a_file_too_short_for_a_header_is_named_with_its_size(tmp_path, size):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"\0" * size)
    with pytest.raises(CheckpointError, match=f"model.safetensors has {size} bytes and is no safetensors file"):
        check_tensors(file, {}, ())
