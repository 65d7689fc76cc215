"""Logits and greedy continuations equal those of `transformers` for the same weights, and every way back is exact."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from components.kv_cache import KVCache
from config.sizes import count_parameters
from interop import weights
from interop.family import choose_family
from interop.hugging_face import describe, load
from interop.registry import FAMILIES
from tests.interop.cases import CASES, PLAINER

TOLERANCE = 1e-4
N_TOKENS = 17
FULLER = [pytest.param(case, marks=[pytest.mark.slow] if case in PLAINER else []) for case in CASES]


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    return torch.randint(0, 67, (2, N_TOKENS), generator=torch.Generator().manual_seed(1))


def assert_equal_logits(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert theirs.std() > 0.3  # or the comparison says nothing
    assert (ours - theirs).abs().max() < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(case, their_model, tokens):
    theirs, folder = their_model(case)
    with torch.no_grad():
        expected = theirs(tokens).logits
    ours = load(folder)
    assert_equal_logits(ours(tokens), expected)
    for implementation in ("einops", "torch"):
        assert_equal_logits(load(folder, implementation)(tokens), expected)
    unread = 2 * 24 if case == "opt" else 0  # two rows of its positions that no text reads
    assert (
        count_parameters(ours.config) == sum(p.numel() for p in ours.parameters()) == theirs.num_parameters() - unread
    )


@pytest.mark.parametrize("case", FULLER)
def test_greedy_continuations_are_those_of_transformers(case, their_model, tokens):
    theirs, folder = their_model(case)
    prompt = tokens[:1, :8]
    expected = theirs.generate(prompt, max_new_tokens=N_TOKENS - 8, do_sample=False, use_cache=False)
    ours = load(folder)
    text, cached, cache = prompt, prompt, KVCache(ours.config)
    ours(prompt[:, :5], cache=cache)  # a prompt may come in pieces
    part = prompt[:, 5:]
    for _ in range(N_TOKENS - 8):
        text = torch.cat([text, ours(text)[:, -1:].argmax(dim=-1)], dim=1)
        part = ours(part, cache=cache)[:, -1:].argmax(dim=-1)
        cached = torch.cat([cached, part], dim=1)
    assert len(set(text[0].tolist())) > 3
    assert torch.equal(text, expected)
    assert torch.equal(cached, expected)


@pytest.mark.parametrize("case", FULLER)
def test_export_gives_the_same_model_back(case, their_model, tokens, tmp_path):
    theirs, folder = their_model(case)
    found = describe(folder)
    ours = load(folder).state_dict()
    family = choose_family(FAMILIES, found.config, found.family.presets[0])
    assert family is found.family
    no_ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    (tmp_path / "config.json").write_text(json.dumps(family.write(found.config) | no_ends))
    weights.write_weights(tmp_path, family, found.config, ours)
    written, original = load_file(tmp_path / "model.safetensors"), load_file(folder / "model.safetensors")
    assert written.keys() == original.keys()
    assert all(torch.equal(tensor, original[name]) for name, tensor in written.items())
    opened, report = AutoModelForCausalLM.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(report.values()), report
    with torch.no_grad():
        assert torch.equal(opened(tokens).logits, theirs(tokens).logits)
    again = load(tmp_path)
    assert again.config == found.config
    assert all(torch.equal(tensor, ours[name]) for name, tensor in again.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_type)
def test_missing_keys_mean_what_their_class_takes(family):
    from transformers import AutoConfig

    needed = {"deepseek_v2": {"num_experts_per_tok": 2}, "glm4_moe": {"head_dim": 128}}  # no default makes a model
    given = needed.get(family.model_type, {})
    defaults = AutoConfig.for_model(family.model_type, **given).to_dict()
    assert family.read(given) == family.read(defaults)
    assert not family.unread_keys(defaults)


@pytest.mark.parametrize("case", FULLER)
def test_every_tensor_of_the_file_moves_the_logits(case, their_model):
    _, folder = their_model(case)
    model = load(folder)
    tokens = torch.randint(0, 67, (4, N_TOKENS), generator=torch.Generator().manual_seed(3))
    before = model(tokens)
    roles: dict[str, list[torch.Tensor]] = {}  # one expert alone may be chosen by nobody
    for name, tensor in model.named_parameters():
        if not name.startswith(("blocks.0.", "blocks.2.")):  # as in the block between them
            roles.setdefault(re.sub(r"experts\.\d+", "experts", name), []).append(tensor)
    for role, parts in roles.items():
        kept = [part.clone() for part in parts]
        for part in parts:
            part.add_(torch.randn(part.shape, generator=torch.Generator().manual_seed(2)))
        assert not torch.equal(model(tokens), before), role
        for part, value in zip(parts, kept, strict=True):
            part.copy_(value)
