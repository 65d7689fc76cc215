"""Every family that is known here, by the model_type of config.json. One more: a table in families/, a line here."""

from config.errors import CheckpointError
from interop.families.alibi import BLOOM, MPT
from interop.families.cohere import COHERE, COHERE2
from interop.families.deepseek import DEEPSEEK_V2, DEEPSEEK_V3
from interop.families.eleuther import GPT_NEO, GPT_NEOX, GPTJ
from interop.families.falcon import FALCON
from interop.families.gemma import GEMMA, GEMMA2, GEMMA3
from interop.families.glm import GLM, GLM4, GLM4_MOE
from interop.families.gpt2 import GPT2, GPT_BIGCODE
from interop.families.gpt_oss import GPT_OSS
from interop.families.llama import LLAMA
from interop.families.llama_shaped import ARCEE, GRANITE, GRANITE_MOE, HELIUM, NEMOTRON, SMOLLM3, STABLELM, STARCODER2
from interop.families.mistral import MINIMAX_M2, MISTRAL, MIXTRAL
from interop.families.olmo import OLMO, OLMO2, OLMO3, OLMOE
from interop.families.opt import OPT
from interop.families.phi import PHI, PHI3
from interop.families.qwen import QWEN2, QWEN2_MOE, QWEN3, QWEN3_MOE
from interop.family import Family

# The first that can say a configuration is taken for its export, unless its preset has another.
FAMILIES = (
    GPT2, LLAMA, MISTRAL, QWEN2, QWEN3, OLMO, OLMO2, OLMO3, GEMMA, GEMMA2, GEMMA3, PHI3, PHI, GPT_NEOX, GPT_NEO, GPTJ,
    STARCODER2, STABLELM, GRANITE, SMOLLM3, NEMOTRON, MPT, BLOOM, OPT, GLM, GLM4, COHERE, COHERE2, FALCON, GPT_BIGCODE,
    ARCEE, HELIUM, MIXTRAL, QWEN3_MOE, QWEN2_MOE, OLMOE, GRANITE_MOE, GPT_OSS, DEEPSEEK_V2, DEEPSEEK_V3, GLM4_MOE,
    MINIMAX_M2,
)  # fmt: skip


def family_of(model_type: object) -> Family:
    """The family of a config.json.

    Raises:
        CheckpointError: it is not known; the sentence has the list of those that are.
    """
    for family in FAMILIES:
        if family.model_type == model_type:
            return family
    known = ", ".join(sorted(family.model_type for family in FAMILIES))
    raise CheckpointError(f"model_type {str(model_type)[:60]!r} is not one that can be read here: {known}.")
