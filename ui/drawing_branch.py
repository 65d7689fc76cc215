"""One half of a block: out of the stream, through norms and attention or MLP, and added back.

    before the part (pre, sandwich)      on the way up, left
    behind the part (output, sandwich)   on the way down, right
    on the stream (post)                 behind the sum

In a block whose parts run side by side, the MLP reads the stream as it is before attention: led past it below the
stream, or, where both share a norm, from that norm.
"""

from config.catalog import entry
from config.model_config import ModelConfig
from config.sizes import parameters_per_norm
from ui import svg
from ui.drawing_plan import NORM_HEIGHT, NORM_TOP, PART_BOTTOM, RAIL, STREAM, Plan, labelled_box
from ui.words import count

NARROWEST_TITLE = 80  # below it a norm's name does not fit
NORM_MIDDLE, NORM_BOTTOM = NORM_TOP + NORM_HEIGHT / 2, NORM_TOP + NORM_HEIGHT


def norm_title(config: ModelConfig) -> str:
    """The norm's name as the catalogue writes it."""
    return entry("norm", config.norm).title


def draw_branch(config: ModelConfig, x: float, plan: Plan, body: str, *, attention_x: float, norm_marked: bool) -> str:
    """Wires, sum and norms of a part whose own drawing is `body`; `attention_x` is where attention's branch begins."""
    is_second = x != attention_x
    beside = config.parallel_residual != "none" and is_second
    fork, back = x + 20, x + plan.part - 20
    norms = [] if beside and config.parallel_residual == "one_norm" else _norms(config, x, plan)
    shapes = _way_up(config, x, plan, attention_x if beside else x) + _way_down(config, back)
    shapes += "" if beside else svg.circle(fork, STREAM, 3.5, "fork")
    shapes += svg.plus(back, STREAM) + body
    title = f"{norm_title(config)}, {parameters_per_norm(config):,} parameters each"
    return shapes + "".join(svg.part(f"norm/{config.norm}", title, norm, marked=norm_marked) for norm in norms)


def _norms(config: ModelConfig, x: float, plan: Plan) -> list[str]:
    if config.norm_placement == "post":
        size = count(parameters_per_norm(config))
        return [labelled_box(x + plan.part, STREAM - 22, plan.norm, 44, norm_title(config), size)]
    is_sandwich = config.norm_placement == "sandwich"
    width = (plan.part - 10) / 2 if is_sandwich else plan.norm
    name = norm_title(config) if width >= NARROWEST_TITLE else "Norm"
    left, right = (labelled_box(place, NORM_TOP, width, NORM_HEIGHT, name) for place in (x, x + plan.part - width))
    return [left, right] if is_sandwich else [right] if config.norm_placement == "output" else [left]


def _way_up(config: ModelConfig, x: float, plan: Plan, from_x: float) -> str:
    """From the stream into the part; `from_x` is the branch at whose fork it begins."""
    fork = x + 20
    if from_x != x and config.parallel_residual == "one_norm":
        return svg.line([(from_x + plan.norm, NORM_MIDDLE), (fork, NORM_MIDDLE), (fork, PART_BOTTOM + 2)], arrow=True)
    past = [(from_x + 20, STREAM), (from_x + 20, RAIL), (fork, RAIL)] if from_x != x else [(fork, STREAM)]
    if config.norm_placement in ("post", "output"):
        return svg.line([*past, (fork, PART_BOTTOM + 2)], arrow=True)
    into_norm = svg.line([*past, (fork, NORM_BOTTOM)])
    return into_norm + svg.line([(fork, NORM_TOP), (fork, PART_BOTTOM + 2)], arrow=True)


def _way_down(config: ModelConfig, back: float) -> str:
    """From the part back into the stream."""
    if config.norm_placement in ("pre", "post"):
        return svg.line([(back, PART_BOTTOM), (back, STREAM - 11)], arrow=True)
    into_norm = svg.line([(back, PART_BOTTOM), (back, NORM_TOP)])
    return into_norm + svg.line([(back, NORM_BOTTOM), (back, STREAM - 11)], arrow=True)
