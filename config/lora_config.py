"""Whether a run trains all weights of a checkpoint, or low-rank adapters beside frozen ones (training/lora.py)."""

from dataclasses import dataclass

from config.fields import SET, Settings, setting

WHEN_ON = ("lora_rank", (SET,))
TARGETS = ("attention", "mlp", "all-linear")


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Settings):
    """The adapters of one fine-tuning; all fields are without effect while `lora_rank` is unset.

    Raises:
        ConfigError: with *all* problems at once, each naming its field, the numbers and what to do.
    """

    lora_rank: int | None = setting(
        None, group="Fine-tuning", title="LoRA rank", symbol="r", typical="8; 4 to 64", minimum=1, maximum=4_096,
        basic=True,
    )  # fmt: skip
    """Train adapters of this rank beside the frozen weights of --from; unset trains all weights."""

    lora_alpha: float = setting(
        16.0, group="Fine-tuning", title="LoRA alpha", symbol="α", typical="16, twice the rank", minimum=1e-3,
        maximum=1e6, only_when=WHEN_ON, basic=True,
    )  # fmt: skip
    """The adapter's output is multiplied by alpha / rank, so that another rank needs no other learning rate."""

    lora_dropout: float = setting(
        0.0, group="Fine-tuning", title="LoRA dropout", symbol="p", typical="0, or 0.1 on little text", minimum=0.0,
        maximum=0.95, only_when=WHEN_ON,
    )  # fmt: skip
    """Share of an adapter's inputs zeroed at random while training."""

    lora_targets: str = setting(
        "all-linear", group="Fine-tuning", title="LoRA targets", typical="all-linear", only_when=WHEN_ON, basic=True
    )
    """Which linear maps get an adapter: attention, mlp, all-linear, or name patterns such as *.qkv_proj,*.down_proj."""

    @property
    def is_on(self) -> bool:
        """Whether adapters are trained instead of all weights."""
        return self.lora_rank is not None

    @property
    def scale(self) -> float:
        """What the adapter's output is multiplied by."""
        return self.lora_alpha / (self.lora_rank or 1)
