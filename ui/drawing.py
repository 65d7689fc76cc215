"""A transformer as a picture: the residual stream is the line, everything else hangs on it where it acts.

Pure: a configuration goes in, SVG text comes out. Positions stand where they enter: learned and sinusoidal ones are
added behind the embedding, RoPE turns queries and keys inside attention, ALiBi lowers scores there. A pre-norm stands
on the way into its part, a post-norm on the stream behind the sum.
"""

from collections.abc import Collection
from dataclasses import dataclass

from config.catalog import entry
from config.model_config import ModelConfig
from config.sizes import count_parameters, parameters_by_component, parameters_per_block, parameters_per_norm
from ui import svg
from ui.words import count

STREAM = 236  # height of the residual stream
TOP, PART_TOP, PART_HEIGHT = 12, 48, 104  # of the block's frame and of attention and MLP in it
NORM_TOP, NORM_HEIGHT = 170, 34
FRAME_BOTTOM, HEIGHT = 270, 312
MOST_HEADS_DRAWN = 16
POSITIONS = {"learned": "Learned", "sinusoidal": "Sinusoidal", "rope": "RoPE turns q, k", "alibi": "ALiBi on scores"}


def norm_title(config: ModelConfig) -> str:
    """The norm's name as the catalogue writes it."""
    return entry("norm", config.norm).title


def mlp_title(config: ModelConfig) -> str:
    """The MLP's name as the catalogue writes it."""
    return entry("mlp", config.mlp).title


@dataclass(frozen=True)
class Plan:
    """Widths of one drawing: the whole model, or only embedding and block where space is short."""

    embedding: float
    part: float
    norm: float
    gap: float  # between the two parts of a block, and behind the second where a post-norm stands
    tail: float
    whole: bool


def plan_of(config: ModelConfig, whole: bool) -> Plan:
    """The same overall width for pre- and post-norm, so that the picture does not jump."""
    if config.norm_placement == "post":
        return Plan(92, 128, 80, 88, 80, whole) if whole else Plan(84, 124, 80, 84, 80, whole)
    return Plan(92, 184, 132, 28, 28, whole) if whole else Plan(84, 132, 96, 16, 8, whole)


def draw(config: ModelConfig, *, marked: Collection[str] = (), whole: bool = True) -> str:
    """The drawing as SVG.

    Args:
        marked: slots to point out: position, norm, attention, mlp, embedding, unembedding, block.
        whole: with final norm and unembedding; otherwise embedding and one block.
    """
    plan = plan_of(config, whole)
    start = 40 + plan.embedding + 48
    width = 2 * plan.part + plan.gap + plan.tail + 24
    end = start + width + (plan.embedding + 148 if whole else 24)
    shapes = [
        _frame(config, start, width, "block" in marked),
        svg.line([(8, STREAM), (end, STREAM)], "stream", arrow=True),
        svg.text(20, STREAM - 18, "tokens", "small"),
        _embedding(config, 40, plan, marked),
        _branch(config, start + 16, plan, "attention", marked),
        _branch(config, start + 16 + plan.part + plan.gap, plan, "mlp", marked),
    ]
    if whole:
        shapes.append(_ending(config, start + width, plan, marked))
    return svg.picture(end + 8, HEIGHT if whole else FRAME_BOTTOM + 12, describe(config), "".join(shapes))


def describe(config: ModelConfig) -> str:
    """The drawing in a sentence, for those who do not see it."""
    position = "no positions" if config.position == "none" else entry("position", config.position).title
    parameters = count(count_parameters(config))
    return (
        f"{config.n_layers} blocks of width {config.d_model}, {config.n_heads} heads, {position}, "
        f"{config.norm_placement}-{norm_title(config)}, {mlp_title(config)}, {parameters} parameters"
    )


def _frame(config: ModelConfig, x: float, width: float, marked: bool) -> str:
    sheets = min(config.n_layers - 1, 2)  # blocks behind the first one
    behind = [
        svg.rectangle(x + 5 * i, TOP - 4 * i, width, FRAME_BOTTOM - TOP, "sheet", 12) for i in range(sheets, 0, -1)
    ]
    each = sum(parameters_per_block(config).values())
    title = svg.text(x + 16, TOP + 18, "Block", "title", "start")
    times = svg.text(x + width - 16, TOP + 18, f"× {config.n_layers:,}  ·  {count(each)} each", "small", "end")
    front = svg.rectangle(x, TOP, width, FRAME_BOTTOM - TOP, "frame", 12)
    return "".join(behind) + svg.part(
        "block/transformer_block", f"Block, {each:,} parameters", front + title + times, marked=marked
    )


def _embedding(config: ModelConfig, x: float, plan: Plan, marked: Collection[str]) -> str:
    parameters = parameters_by_component(config)
    shapes = _box(x, STREAM - 27, plan.embedding, 54, "Embedding", count(parameters["token_embedding"]))
    drawn = svg.part(
        "embedding/token",
        f"Token embedding, {parameters['token_embedding']:,} parameters",
        shapes,
        marked="embedding" in marked,
    )
    if config.position not in ("learned", "sinusoidal"):
        return drawn
    middle = x + plan.embedding + 24
    left = max(8.0, middle - plan.embedding / 2 - 30)
    size = count(parameters["positional_embedding"]) if config.position == "learned" else "no parameters"
    box = _box(left, 96, plan.embedding, 62, POSITIONS[config.position], "positions", size)
    title = f"{entry('position', config.position).title}, {parameters['positional_embedding']:,} parameters"
    wire = svg.line([(middle, 158), (middle, STREAM - 11)], "wire", arrow=True) + svg.plus(middle, STREAM)
    return drawn + wire + svg.part(f"position/{config.position}", title, box, marked="position" in marked)


def _branch(config: ModelConfig, x: float, plan: Plan, slot: str, marked: Collection[str]) -> str:
    """One half of a block: out of the stream, through norm and part, and added back."""
    fork, back = x + 20, x + plan.part - 20
    bottom = PART_TOP + PART_HEIGHT
    norm_size = parameters_per_norm(config)
    title = f"{norm_title(config)}, {norm_size:,} parameters each"
    if config.norm_placement == "pre":
        norm = _box(x, NORM_TOP, plan.norm, NORM_HEIGHT, norm_title(config))
        wires = svg.line([(fork, STREAM), (fork, NORM_TOP + NORM_HEIGHT)]) + svg.line(
            [(fork, NORM_TOP), (fork, bottom + 2)], arrow=True
        )
    else:
        norm = _box(back + 20, STREAM - 22, plan.norm, 44, norm_title(config), count(norm_size))
        wires = svg.line([(fork, STREAM), (fork, bottom + 2)], arrow=True)
    wires += svg.line([(back, bottom), (back, STREAM - 11)], arrow=True)
    body = _attention(config, x, plan) if slot == "attention" else _mlp(config, x, plan)
    name = f"attention/{config.attention}" if slot == "attention" else f"mlp/{config.mlp}"
    drawn = svg.part(
        name, f"{slot}, {parameters_per_block(config)[slot]:,} parameters in each block", body, marked=slot in marked
    )
    if slot == "attention" and config.position in ("rope", "alibi"):
        drawn += _position_chip(config, x, plan, "position" in marked)
    return (
        wires
        + svg.circle(fork, STREAM, 3.5, "fork")
        + svg.plus(back, STREAM)
        + drawn
        + svg.part(f"norm/{config.norm}", title, norm, marked="norm" in marked)
    )


def _attention(config: ModelConfig, x: float, plan: Plan) -> str:
    shapes = _header(x, plan.part, "Attention", count(parameters_per_block(config)["attention"]))
    heads = min(config.n_heads, MOST_HEADS_DRAWN)
    shared = max(1, round(heads * config.kv_heads / config.n_heads))
    pitch = min(13.0, (plan.part - 56) / heads)
    left = x + 34
    for head in range(heads):
        shapes += svg.circle(left + pitch * (head + 0.5), PART_TOP + 44, min(4.5, pitch * 0.38), "query")
    group = pitch * heads / shared
    for head in range(shared):
        shapes += svg.rectangle(left + group * head + 1.5, PART_TOP + 54, max(group - 3, 1.5), 8, "key", 3)
    shapes += svg.text(x + 22, PART_TOP + 44, "q", "small") + svg.text(x + 22, PART_TOP + 58, "kv", "small")
    if config.n_heads > heads:
        shapes += svg.text(left + pitch * heads + 4, PART_TOP + 44, "…", "small", "start")
    if config.position not in ("rope", "alibi"):
        words = f"{config.n_heads} heads" + (f", {config.kv_heads} kv" if config.kv_heads != config.n_heads else "")
        shapes += svg.text(x + 14, PART_TOP + 86, words, "small", "start")
    return shapes


def _position_chip(config: ModelConfig, x: float, plan: Plan, marked: bool) -> str:
    title = entry("position", config.position).title
    chip = svg.rectangle(x + 10, PART_TOP + 73, plan.part - 20, 24, "chip", 12)
    chip += svg.text(x + plan.part / 2, PART_TOP + 85, POSITIONS[config.position], "chip-text")
    return svg.part(f"position/{config.position}", f"{title}, no parameters", chip, marked=marked)


def _mlp(config: ModelConfig, x: float, plan: Plan) -> str:
    shapes = _header(x, plan.part, mlp_title(config).split()[0], count(parameters_per_block(config)["mlp"]))
    widest = plan.part - 48
    narrow = max(10.0, min(widest, widest * config.d_model / config.d_mlp))
    wide = max(10.0, min(widest, widest * config.d_mlp / config.d_model))
    middle = x + plan.part / 2
    bars = [(PART_TOP + 66, narrow)]
    if config.has_gate:
        half = wide / 2 - 12
        for side in (-1, 1):
            shapes += svg.rectangle(middle + side * (half / 2 + 12) - half / 2, PART_TOP + 50, half, 8, "key", 3)
        shapes += svg.plus(middle, PART_TOP + 54, 7, "×")
    else:
        bars.append((PART_TOP + 50, wide))
    bars.append((PART_TOP + 36, narrow))
    for y, width in bars:
        shapes += svg.rectangle(middle - width / 2, y, width, 6 if width == narrow else 8, "query", 3)
    widths = f"{config.d_model:,} → {config.d_mlp:,} → {config.d_model:,}"
    return shapes + svg.text(middle, PART_TOP + 86, widths, "small")


def _ending(config: ModelConfig, x: float, plan: Plan, marked: Collection[str]) -> str:
    """Final norm, unembedding, and the bow that says that embedding and unembedding are one matrix."""
    shapes = ""
    if config.norm_placement == "pre":
        norm = _box(x + 18, STREAM - 22, 88, 44, norm_title(config), count(parameters_per_norm(config)))
        shapes = svg.part(f"norm/{config.norm}", "Final norm", norm, marked="norm" in marked)
    left = x + 122
    size = "tied" if config.tie_embeddings else count(parameters_by_component(config)["unembedding"])
    box = _box(left, STREAM - 27, plan.embedding, 54, "Unembed", size)
    shapes += svg.part(
        "unembedding/unembedding", f"Unembedding, {size} parameters", box, marked="unembedding" in marked
    )
    if config.tie_embeddings:
        first, last, low = 40 + plan.embedding / 2, left + plan.embedding / 2, HEIGHT - 18
        shapes += svg.line([(first, STREAM + 27), (first, low), (last, low), (last, STREAM + 27)], "tie")
        shapes += svg.text((first + last) / 2, low + 10, "one matrix, used at both ends", "small")
    return shapes


def _header(x: float, width: float, name: str, size: str) -> str:
    return (
        svg.rectangle(x, PART_TOP, width, PART_HEIGHT, "box")
        + svg.text(x + 12, PART_TOP + 18, name, "name", "start")
        + svg.text(x + width - 9, PART_TOP + 18, size, "small", "end")
    )


def _box(x: float, y: float, width: float, height: float, *lines: str) -> str:
    """A box with its lines of text in the middle; the first one is the name."""
    shapes = svg.rectangle(x, y, width, height, "box")
    first = y + height / 2 - 8.5 * (len(lines) - 1)
    for index, content in enumerate(lines):
        shapes += svg.text(x + width / 2, first + 17 * index, content, "small" if index else "name")
    return shapes
