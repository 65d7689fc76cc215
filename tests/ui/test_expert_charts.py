"""The charts of a mixture of experts: the right layers, the right scale, and words for those who cannot see them."""

from config.model_config import ModelConfig
from runs.routing import Routing
from ui.charts import View
from ui.curves import Ranged
from ui.expert_charts import balance_figure, describe, layer_names, share_figure

ROUTING = Routing(20.0, ((0.5, 0.25, 0.25, 0.0), (0.1, 0.4, 0.3, 0.2)), (1.0, 0.5))


def test_rows_are_the_layers_that_have_experts():
    model = ModelConfig(n_experts=4, n_layers=4, moe_pattern="dm")
    assert layer_names(ROUTING, model) == ["2", "4"]
    assert layer_names(ROUTING, None) == ["1", "2"]  # a configuration that cannot be read
    assert layer_names(ROUTING, ModelConfig()) == ["1", "2"]


def test_fields_are_percent_and_an_even_share_is_the_middle_of_the_scale():
    (fields,) = share_figure(ROUTING, ["2", "4"], View())["data"]
    assert fields["z"] == [[50.0, 25.0, 25.0, 0.0], [10.0, 40.0, 30.0, 20.0]] and fields["y"] == ["2", "4"]
    assert (fields["zmin"], fields["zmax"]) == (0, 50) and "texttemplate" in fields
    many = Routing(1.0, ((1 / 64,) * 64,), (1.0,))
    assert "texttemplate" not in share_figure(many, ["1"], View(theme="dark"))["data"][0]


def test_dropped_visits_have_a_line_only_where_there_are_any():
    balance = Ranged(([1.0, 2.0], [1.2, 1.1]))
    plain = balance_figure(balance, Ranged(([1.0, 2.0], [None, None])), View())
    dropping = balance_figure(balance, Ranged(([1.0, 2.0], [0.3, 0.1])), View())
    assert len(plain["data"]) == 1 and "dropped" not in plain["layout"]["title"]["text"]
    assert len(dropping["data"]) == 2 and "dropped" in dropping["layout"]["title"]["text"]


def test_the_fields_have_words():
    assert describe(ROUTING) == (
        "Visits of 4 experts in 2 layers: the busiest has 2.00 times an even share, the idlest 0 times."
    )
