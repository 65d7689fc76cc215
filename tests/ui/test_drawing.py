"""The drawing: well-formed, complete, and each choice shown where it acts."""

import xml.etree.ElementTree as ElementTree
from itertools import product

import pytest

from config.catalog import entry
from config.model_config import ModelConfig
from config.presets import PRESET_NAMES, SIZES, load_preset
from ui.drawing import draw
from ui.sources import chosen_components
from ui.words import count

SVG = "{http://www.w3.org/2000/svg}"


def parts(picture: str) -> dict[str, list[ElementTree.Element]]:
    found: dict[str, list[ElementTree.Element]] = {}
    for group in ElementTree.fromstring(picture).iter(f"{SVG}g"):
        if "data-part" in group.attrib:
            found.setdefault(group.attrib["data-part"], []).append(group)
    return found


def words(element: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{SVG}text")]


@pytest.mark.parametrize(("name", "size"), list(product(PRESET_NAMES, SIZES)))
def test_every_preset_is_well_formed_and_clickable(name, size):
    config = load_preset(name, size)
    found = parts(draw(config))
    assert set(found) == {f"{slot}/{component}" for slot, component in chosen_components(config).items()}
    for part in found:
        entry(*part.split("/"))  # a click opens a line of the catalogue
    for groups in found.values():
        assert all(
            group.attrib["tabindex"] == "0" and group[0].tag.endswith("title") and group[0].text for group in groups
        )


def middle_of(group: ElementTree.Element) -> tuple[float, float]:
    box = group.find(f"{SVG}rect")
    x, y, width, height = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
    return x + width / 2, y + height / 2


def test_positions_stand_where_they_act():
    def place(position):
        found = parts(draw(load_preset("llama").replace(position=position)))
        attention = middle_of(found["attention/multi_head"][0])
        own = found.get(f"position/{position}")
        return own and middle_of(own[0])[0] - attention[0]

    assert place("rope") == place("alibi") == 0  # inside attention
    assert place("learned") < -100 and place("sinusoidal") < -100  # behind the embedding, before the block
    assert place("none") is None


def test_pre_norm_stands_on_the_branch_and_post_norm_on_the_stream():
    pre = parts(draw(load_preset("gpt2")))["norm/layernorm"]
    post = parts(draw(load_preset("gpt2").replace(norm_placement="post")))["norm/layernorm"]
    stream = middle_of(parts(draw(load_preset("gpt2")))["embedding/token"][0])[1]
    assert [middle_of(norm)[1] < stream for norm in pre] == [True, True, False]  # the last is the final norm
    assert [middle_of(norm)[1] for norm in post] == [stream, stream]  # and post-norm has none


def test_norms_stand_where_their_placement_says():
    def norms(**changes):
        found = parts(draw(load_preset("llama").replace(**changes)))
        attention, mlp = (middle_of(found[name][0])[0] for name in ("attention/multi_head", "mlp/swiglu"))
        return ["left" if middle_of(norm)[0] < part else "right" for norm, part in zip(
            found["norm/rmsnorm"][:-1], 2 * [attention] + 2 * [mlp] if len(found["norm/rmsnorm"]) == 5
            else [attention, mlp], strict=False)]  # fmt: skip

    assert norms() == ["left", "left"]
    assert norms(norm_placement="output") == ["right", "right"]
    assert norms(norm_placement="sandwich") == ["left", "right", "left", "right"]


def forks(picture: str) -> int:
    return sum(shape.attrib.get("class") == "fork" for shape in ElementTree.fromstring(picture).iter())


def test_side_by_side_both_parts_read_the_stream_at_one_fork():
    llama = load_preset("llama")
    two, one = llama.replace(parallel_residual="two_norms"), llama.replace(parallel_residual="one_norm")
    assert [forks(draw(config)) for config in (llama, two, one)] == [2, 1, 1]
    assert [len(parts(draw(config))["norm/rmsnorm"]) for config in (llama, two, one)] == [3, 3, 2]
    assert "side by side" in draw(one) and "side by side" not in draw(llama)


def test_windows_are_told_in_the_head_line():
    llama = load_preset("llama").replace(window=16)
    assert "window 16 in 2 of 4" in draw(llama.replace(attention_pattern="wf"))
    assert "window 16 everywhere" in draw(llama.replace(attention_pattern="w")) and "window" not in draw(llama)


def test_experts_stand_in_the_place_of_the_mlp():
    config = load_preset("llama").replace(n_experts=8, experts_per_token=2, d_expert=256)
    picture = draw(config)
    (experts,) = parts(picture)["experts/mixture"]
    classes = [shape.attrib["class"] for shape in experts.iter() if "class" in shape.attrib]
    assert (classes.count("query"), classes.count("key")) == (2, 6) and "mlp/swiglu" not in parts(picture)
    assert "8 × 256, a token visits 2" in picture and "8 experts, 2 for each token" in picture
    some = draw(config.replace(moe_pattern="dm", n_shared_experts=1))
    assert "2 for each token and 1 shared in 2 of 4 layers" in some and "a token visits 2 + 1" in some
    (many,) = parts(draw(config.replace(n_experts=256)))["experts/mixture"]
    assert sum(shape.attrib.get("class") in ("query", "key") for shape in many.iter()) == 16


def test_a_latent_stands_in_the_place_of_the_keys():
    config = load_preset("gpt2").replace(attention="mla", kv_rank=48)
    (attention,) = parts(draw(config))["attention/mla"]
    classes = [shape.attrib["class"] for shape in attention.iter() if "class" in shape.attrib]
    assert (classes.count("query"), classes.count("key")) == (4, 1) and "latent 48" in draw(config)


def test_heads_share_keys_in_groups():
    config = load_preset("llama").replace(n_heads=8, n_kv_heads=2)
    (attention,) = parts(draw(config))["attention/multi_head"]
    classes = [shape.attrib["class"] for shape in attention.iter() if "class" in shape.attrib]
    assert (classes.count("query"), classes.count("key")) == (8, 2)


def test_many_heads_still_fit():
    (attention,) = parts(draw(load_preset("llama").replace(d_model=1024, n_heads=512)))["attention/multi_head"]
    frame, *shapes = [shape for shape in attention if shape.tag in (f"{SVG}rect", f"{SVG}circle")]
    right = float(frame.attrib["x"]) + float(frame.attrib["width"])
    assert all(float(shape.attrib.get("x", shape.attrib.get("cx", 0))) < right for shape in shapes)


def test_tied_embedding_is_one_matrix():
    tied = draw(load_preset("gpt2"))
    assert "one matrix" in tied and "tied" in words(parts(tied)["unembedding/unembedding"][0])
    assert "one matrix" not in draw(load_preset("llama"))


def test_parameters_stand_in_each_part():
    config = ModelConfig(d_vocab=1000, d_model=128, n_layers=4, position="learned", n_ctx=64)
    found = parts(draw(config))
    assert count(1000 * 128) in words(found["embedding/token"][0])
    assert count(64 * 128) in words(found["position/learned"][0])
    assert count(128 * 512 * 2 + 512 + 128) in words(found["mlp/gelu"][0])


def test_marked_parts_and_no_others():
    found = parts(draw(load_preset("llama"), marked={"norm"}))
    marked = {name for name, groups in found.items() for group in groups if "marked" in group.attrib["class"]}
    assert marked == {"norm/rmsnorm"}


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("placement", ["pre", "post", "output", "sandwich"])
@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "sinusoidal", "none"])
def test_nothing_lies_outside_the_picture(whole, placement, position):
    root = ElementTree.fromstring(
        draw(load_preset("gpt2").replace(norm_placement=placement, position=position), whole=whole)
    )
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    for box in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height, box.attrib


def test_no_bar_is_narrower_than_nothing():
    """A browser refuses a negative width: a gated MLP far narrower than the stream."""
    picture = draw(load_preset("llama", "tiny").replace(d_model=4096, d_mlp=64))
    assert all(float(box.attrib["width"]) > 0 for box in ElementTree.fromstring(picture).iter(f"{SVG}rect"))


def test_width_of_the_picture_does_not_jump():
    def view(**changes):
        return ElementTree.fromstring(draw(load_preset("gpt2").replace(**changes))).attrib["viewBox"]

    assert (
        view()
        == view(norm_placement="post")
        == view(norm_placement="sandwich")
        == view(position="rope", mlp="swiglu", tie_embeddings=False)
    )
