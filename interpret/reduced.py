"""A small model of the same kind: what is proved in place of a configuration that would take minutes to prove.

Every switch, component and ratio stays (grouped heads stay grouped, a head count that is no power of two stays none,
every letter of a layer pattern keeps its layer); only sizes become smaller. What was made smaller is told.
"""

from config.errors import ConfigError
from config.fields import describe
from config.model_config import ModelConfig
from config.sizes import count_parameters

MOST_PARAMETERS = 1_500_000  # up to here a configuration is proved as it is, in seconds
MOST_PATTERN_LAYERS = 8
# The largest value that stays as it is. Fields that a configuration does not have are passed over.
CAPS = {
    "d_model": 64, "d_mlp": 96, "n_ctx": 32, "d_vocab": 61, "window": 8, "rope_original_ctx": 16, "rotary_dim": 8,
    "kv_rank": 24, "q_rank": 24, "d_head_rope": 8, "d_head_value": 16, "d_expert": 32, "n_experts": 8,
    "experts_per_token": 2, "n_shared_experts": 1, "expert_groups": 4, "groups_per_token": 2,
}  # fmt: skip
HEAD_WIDTH = 16
FEW_HEADS, FEW_UNEVEN_HEADS = 4, 6


def reduced(config: ModelConfig) -> tuple[ModelConfig, dict[str, tuple[int, int]]]:
    """The configuration to prove, without dropout, and by field what was made smaller: before, after.

    Raises:
        ConfigError: no smaller configuration of this kind is possible.
    """
    proved = config.replace(dropout=0.0)
    if count_parameters(config) <= MOST_PARAMETERS:
        return proved, {}
    values = config.to_dict()
    smaller = {name: cap for name, cap in CAPS.items() if (values.get(name) or 0) > cap}
    smaller |= _smaller_heads(config)
    smaller["n_layers"] = min(config.n_layers, max(2, _pattern_length(config)))
    while True:
        try:
            proved = proved.replace(**smaller)
            break
        except ConfigError as error:  # a rule of a field that is coupled to others: leave that one as it was
            coupled = {problem.field for problem in error.problems} & smaller.keys()
            if not coupled:
                raise
            smaller = {name: value for name, value in smaller.items() if name not in coupled}
    told = {name: (values[name], value) for name, value in smaller.items() if value != values[name]}
    return proved, {name: (before, after) for name, (before, after) in told.items() if before is not None}


def _smaller_heads(config: ModelConfig) -> dict[str, int]:
    """Fewer and narrower heads, in as many groups of the same kind: all of their own, one for all, or between."""
    is_power = config.n_heads & (config.n_heads - 1) == 0
    n_heads = min(config.n_heads, FEW_HEADS if is_power else FEW_UNEVEN_HEADS)
    found = {"n_heads": n_heads, "d_head": min(config.head_dim, HEAD_WIDTH)}
    if config.n_kv_heads is not None:
        is_grouped = 1 < config.kv_heads < config.n_heads
        found["n_kv_heads"] = n_heads // 2 if is_grouped else min(config.kv_heads, n_heads)
    return found


def _pattern_length(config: ModelConfig) -> int:
    """Layers that the longest pattern of letters needs to show each of them where it first stands."""
    patterns = [str(getattr(config, name)) for name in describe(ModelConfig) if name.endswith("_pattern")]
    needed = [max(map(pattern.index, set(pattern))) + 1 for pattern in patterns if pattern]
    return min(MOST_PATTERN_LAYERS, max(needed, default=1))
