"""Norms, neurons, and embeddings as points."""

import pytest
import torch

from interpret.embeddings import embedding_matrix, nearest, project
from interpret.stream_norms import most_varied, neuron_activations, neuron_places, stream_norms


def test_norms_are_those_of_the_vectors(make_model, text):
    model = make_model(position="none")
    norms = stream_norms(model, text)
    assert (norms.stream.shape, norms.attention.shape, norms.mlp.shape) == ((3, 11), (2, 11), (2, 11))
    torch.testing.assert_close(norms.stream[0], model.token_embedding.weight[text].norm(dim=1))
    x = model.token_embedding(text[None])
    after = model.blocks[0](x, model.positional_embedding)
    torch.testing.assert_close(norms.stream[1], after[0].norm(dim=-1))
    added = model.blocks[0].attention(model.blocks[0].attention_norm(x), model.positional_embedding)
    torch.testing.assert_close(norms.attention[0], added[0].norm(dim=-1))


def test_neurons_are_the_hidden_layer(make_model, text):
    model = make_model(mlp="swiglu")
    assert neuron_places(model) == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]
    neurons = neuron_activations(model, text, "blocks.1.mlp.hook_post")
    assert neurons.shape == (11, 40)
    first = most_varied(neurons, 3)
    spread = neurons.std(dim=0)
    assert spread[first[0]] == spread.max() and spread[first[0]] >= spread[first[1]] >= spread[first[2]]


def test_pca_keeps_distances_and_says_how_much_it_shows():
    flat = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 1.0])
    turned = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1))).Q
    vectors = torch.nn.functional.pad(flat, (0, 6)) @ turned + 3.0
    picture = project(vectors, "pca", 2)
    torch.testing.assert_close(
        torch.cdist(picture.points, picture.points), torch.cdist(flat, flat), rtol=1e-3, atol=1e-3
    )
    assert sum(picture.variance_shares) == pytest.approx(1.0, abs=1e-5)
    assert picture.variance_shares[0] > 0.9
    assert torch.equal(picture.points, project(vectors, "pca", 2).points)
    assert project(torch.randn(5, 2), "pca", 3).points.shape == (5, 3)


def test_tsne_keeps_groups_apart_and_is_the_same_every_time():
    centres = torch.eye(3, 10) * 20
    vectors = (centres[:, None] + torch.randn(3, 12, 10, generator=torch.Generator().manual_seed(0))).flatten(0, 1)
    picture = project(vectors, "tsne", 2)
    groups = picture.points.view(3, 12, 2)
    assert (nearest(vectors, 3) // 12 == torch.arange(36)[:, None] // 12).all()
    inside = torch.cdist(groups, groups).mean()
    assert torch.cdist(groups.mean(dim=1), groups.mean(dim=1)).sum() / 6 > 2 * inside
    assert torch.equal(picture.points, project(vectors, "tsne", 2).points)


def test_which_embeddings_there_are(make_model):
    tied, own = make_model(), make_model(tie_embeddings=False, position="rope")
    assert embedding_matrix(tied, "token").shape == (31, 24)
    assert embedding_matrix(tied, "position").shape == (16, 24)
    assert torch.equal(embedding_matrix(own, "output"), own.unembedding.weight)
    with pytest.raises(ValueError, match="tied"):
        embedding_matrix(tied, "output")
    with pytest.raises(ValueError, match="not learned"):
        embedding_matrix(own, "position")
    with pytest.raises(ValueError, match="no embedding 'word'; choose one of token, output, position"):
        embedding_matrix(own, "word")


def test_pictures_that_cannot_be_made_get_a_sentence():
    with pytest.raises(ValueError, match="2 vectors are too few for a picture in 2"):
        project(torch.randn(2, 4), "pca", 2)
    with pytest.raises(ValueError, match="at most 2,000 vectors here, not 2,001"):
        project(torch.randn(2001, 4), "tsne", 2)
    with pytest.raises(ValueError, match="no method 'umap'"):
        project(torch.randn(9, 4), "umap", 2)
