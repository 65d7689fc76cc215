"""Every family that is known here, by the model_type of config.json. One more: a table in families/, a line here."""

from config.errors import CheckpointError
from interop.families.gpt2 import GPT2
from interop.families.llama import LLAMA
from interop.family import Family

FAMILIES = (GPT2, LLAMA)


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
