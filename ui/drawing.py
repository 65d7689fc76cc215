"""A transformer as a picture: the residual stream is the line, everything else hangs on it where it acts.

Pure: a configuration goes in, SVG text comes out. Positions stand where they enter: learned and sinusoidal ones are
added behind the embedding, RoPE turns queries and keys inside attention, ALiBi lowers scores there. Norms stand on the
way into their part, out of it, or on the stream (ui/drawing_branch.py).
"""

from collections.abc import Collection

from config.catalog import entry
from config.model_config import ModelConfig
from config.sizes import count_parameters, parameters_by_component, parameters_per_block, parameters_per_norm
from ui import svg
from ui.drawing_branch import draw_branch, norm_title
from ui.drawing_experts import draw_experts, experts_in_words
from ui.drawing_plan import FRAME_BOTTOM, HEIGHT, PART_HEIGHT, PART_TOP, STREAM, TOP, Plan, labelled_box, plan_of
from ui.words import count

MOST_HEADS_DRAWN = 16
POSITIONS = {"learned": "Learned", "sinusoidal": "Sinusoidal", "rope": "RoPE turns q, k", "alibi": "ALiBi on scores"}


def mlp_title(config: ModelConfig) -> str:
    """The MLP's name as the catalogue writes it."""
    return entry("mlp", config.mlp).title


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
        _half(config, start + 16, plan, "attention", start + 16, marked),
        _half(config, start + 16 + plan.part + plan.gap, plan, "mlp", start + 16, marked),
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
        f"{norms_in_words(config)}, {experts_in_words(config) or mlp_title(config)}, {parameters} parameters"
    )


def norms_in_words(config: ModelConfig) -> str:
    """pre-LayerNorm; sandwich-RMSNorm; and whether the two parts stand side by side."""
    beside = "" if config.parallel_residual == "none" else ", attention and MLP side by side"
    return f"{config.norm_placement}-{norm_title(config)}{beside}"


def reach_in_words(config: ModelConfig) -> str:
    """Which layers look through a window, for the block's head line: window 128 in 3 of 4."""
    windows = [window for window in config.windows if window is not None]
    if not windows:
        return ""
    where = "everywhere" if len(windows) == config.n_layers else f"in {len(windows)} of {config.n_layers}"
    return f"window {windows[0]:,} {where}"


def _frame(config: ModelConfig, x: float, width: float, marked: bool) -> str:
    sheets = min(config.n_layers - 1, 2)  # blocks behind the first one
    behind = [
        svg.rectangle(x + 5 * i, TOP - 4 * i, width, FRAME_BOTTOM - TOP, "sheet", 12) for i in range(sheets, 0, -1)
    ]
    each = sum(parameters_per_block(config).values())
    title = svg.text(x + 16, TOP + 18, "Block", "title", "start")
    title += svg.text(x + 70, TOP + 18, reach_in_words(config), "small", "start")
    times = svg.text(x + width - 16, TOP + 18, f"× {config.n_layers:,}  ·  {count(each)} each", "small", "end")
    front = svg.rectangle(x, TOP, width, FRAME_BOTTOM - TOP, "frame", 12)
    return "".join(behind) + svg.part(
        "block/transformer_block", f"Block, {each:,} parameters", front + title + times, marked=marked
    )


def _embedding(config: ModelConfig, x: float, plan: Plan, marked: Collection[str]) -> str:
    parameters = parameters_by_component(config)
    shapes = labelled_box(x, STREAM - 27, plan.embedding, 54, "Embedding", count(parameters["token_embedding"]))
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
    box = labelled_box(left, 96, plan.embedding, 62, POSITIONS[config.position], "positions", size)
    title = f"{entry('position', config.position).title}, {parameters['positional_embedding']:,} parameters"
    wire = svg.line([(middle, 158), (middle, STREAM - 11)], "wire", arrow=True) + svg.plus(middle, STREAM)
    return drawn + wire + svg.part(f"position/{config.position}", title, box, marked="position" in marked)


def _half(config: ModelConfig, x: float, plan: Plan, slot: str, attention_x: float, marked: Collection[str]) -> str:
    """Attention or MLP with its wires and norms."""
    body = _attention(config, x, plan) if slot == "attention" else _mlp(config, x, plan)
    mlp = "experts/mixture" if any(config.expert_layers) else f"mlp/{config.mlp}"
    name = f"attention/{config.attention}" if slot == "attention" else mlp
    drawn = svg.part(
        name, f"{slot}, {parameters_per_block(config)[slot]:,} parameters in each block", body, marked=slot in marked
    )
    if slot == "attention" and config.position in ("rope", "alibi"):
        drawn += _position_chip(config, x, plan, "position" in marked)
    return draw_branch(config, x, plan, drawn, attention_x=attention_x, norm_marked="norm" in marked)


def _attention(config: ModelConfig, x: float, plan: Plan) -> str:
    shapes = _header(x, plan.part, "Attention", count(parameters_per_block(config)["attention"]))
    heads = min(config.n_heads, MOST_HEADS_DRAWN)
    is_latent = config.attention == "mla"  # one vector for all heads, which stands in the place of their keys
    shared = 1 if is_latent else max(1, round(heads * config.kv_heads / config.n_heads))
    pitch = min(13.0, (plan.part - 56) / heads)
    left = x + 34
    for head in range(heads):
        shapes += svg.circle(left + pitch * (head + 0.5), PART_TOP + 44, min(4.5, pitch * 0.38), "query")
    group = pitch * heads / shared
    for head in range(shared):
        shapes += svg.rectangle(left + group * head + 1.5, PART_TOP + 54, max(group - 3, 1.5), 8, "key", 3)
    shapes += svg.text(x + 22, PART_TOP + 44, "q", "small") + svg.text(
        x + 22, PART_TOP + 58, "c" if is_latent else "kv", "small"
    )
    if config.n_heads > heads:
        shapes += svg.text(left + pitch * heads + 4, PART_TOP + 44, "…", "small", "start")
    if config.position not in ("rope", "alibi"):
        words = f"{config.n_heads} heads" + (f", {config.kv_heads} kv" if config.kv_heads != config.n_heads else "")
        words += f", latent {config.latent_rank}" if is_latent else ""
        shapes += svg.text(x + 14, PART_TOP + 86, words, "small", "start")
    return shapes


def _position_chip(config: ModelConfig, x: float, plan: Plan, marked: bool) -> str:
    title = entry("position", config.position).title
    chip = svg.rectangle(x + 10, PART_TOP + 73, plan.part - 20, 24, "chip", 12)
    chip += svg.text(x + plan.part / 2, PART_TOP + 85, POSITIONS[config.position], "chip-text")
    return svg.part(f"position/{config.position}", f"{title}, no parameters", chip, marked=marked)


def _mlp(config: ModelConfig, x: float, plan: Plan) -> str:
    if any(config.expert_layers):
        header = _header(x, plan.part, "Experts", count(parameters_per_block(config)["mlp"]))
        return header + draw_experts(config, x, plan.part)
    shapes = _header(x, plan.part, mlp_title(config).split()[0], count(parameters_per_block(config)["mlp"]))
    widest = plan.part - 48
    narrow = max(10.0, min(widest, widest * config.d_model / config.d_mlp))
    wide = max(10.0, min(widest, widest * config.d_mlp / config.d_model))
    middle = x + plan.part / 2
    bars = [(PART_TOP + 66, narrow)]
    if config.has_gate:
        half = max(4.0, wide / 2 - 12)
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
    if config.norm_placement != "post":
        norm = labelled_box(x + 18, STREAM - 22, 88, 44, norm_title(config), count(parameters_per_norm(config)))
        shapes = svg.part(f"norm/{config.norm}", "Final norm", norm, marked="norm" in marked)
    left = x + 122
    size = "tied" if config.tie_embeddings else count(parameters_by_component(config)["unembedding"])
    box = labelled_box(left, STREAM - 27, plan.embedding, 54, "Unembed", size)
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
