"""Fields of ModelConfig: the two ends of the model, embedding and unembedding."""

from dataclasses import dataclass

from config.fields import Settings, setting


@dataclass(frozen=True, kw_only=True)
class EndFields(Settings):
    """How tokens come in and how scores go out."""

    tie_embeddings: bool = setting(
        True, group="Embedding and head", title="Tie embeddings", typical="on in small models"
    )
    """Use the token embedding also as the unembedding: one matrix fewer to learn."""

    embedding_scale: float = setting(
        1.0, group="Embedding and head", title="Embedding scale", typical="1; √d_model in Gemma", minimum=1e-6,
        maximum=1e6, rare=True,
    )  # fmt: skip
    """The vector of a token is multiplied by this on its way in."""

    embedding_norm: bool = setting(
        False, group="Embedding and head", title="Embedding norm", typical="off; on in BLOOM", rare=True
    )
    """One more norm on what enters the first block."""

    unembedding_bias: bool = setting(
        False, group="Embedding and head", title="Unembedding bias", typical="off; on in GPT-J and Phi", rare=True
    )
    """Whether the scores of the tokens get a learned offset each."""

    logit_scale: float = setting(
        1.0, group="Embedding and head", title="Logit scale", typical="1; 0.0625 in Cohere", minimum=1e-6, maximum=1e6,
        rare=True,
    )  # fmt: skip
    """The scores of the tokens are multiplied by this."""

    logit_softcap: float | None = setting(
        None, group="Embedding and head", title="Logit cap", typical="unset; 30 in Gemma 2", minimum=1e-3, maximum=1e6,
        rare=True,
    )  # fmt: skip
    """Bend the scores of the tokens with tanh, so that none is larger than this."""
