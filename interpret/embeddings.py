"""Token vectors in two or three dimensions: how near the model holds two tokens, as a picture.

    PCA      centre the vectors, keep the directions of largest variance: U S of the singular value decomposition
    t-SNE    place points so that near neighbours stay near (van der Maaten & Hinton 2008); distances between far
             groups mean nothing, and neither do sizes of groups

PCA is exact and says how much of the variance it shows. t-SNE is scikit-learn's, started from PCA, the same picture
every time. Nearest neighbours are by cosine in all dimensions, so they are right even where a picture misleads.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from components.model import Transformer

MOST_POINTS = 2_000  # t-SNE of as many takes 10 s on one core
PERPLEXITY = 30.0  # how many neighbours count, as in the paper: 5 to 50


@dataclass(frozen=True)
class Picture:
    """Points for the vectors that went in."""

    points: Float[Tensor, "point dimension"]
    variance_shares: tuple[float, ...]
    """Of PCA: how much of the vectors' variance each dimension shows. Empty for t-SNE."""


def embedding_matrix(model: Transformer, which: str) -> Float[Tensor, "row d_model"]:
    """`token`: a vector for each token; `output`: the rows that score them; `position`: one for each position.

    Raises:
        ValueError: the model has no such matrix, or no matrix has this name.
    """
    found = {
        "token": model.token_embedding.weight,
        "output": model.unembedding.weight,  # None when tied: then it is the token embedding
        "position": getattr(model.positional_embedding, "weight", None),
    }
    if which not in found:
        raise ValueError(f"there is no embedding {which!r}; choose one of {', '.join(found)}")
    matrix = found[which]
    if not isinstance(matrix, Tensor):
        why = "its positions are not learned" if which == "position" else "it uses the token embedding again (tied)"
        raise ValueError(f"this model has no {which} embedding of its own: {why}")
    return matrix.detach().float()


def project(vectors: Float[Tensor, "point d_model"], method: str, dimensions: int) -> Picture:
    """Place vectors in 2 or 3 dimensions by `pca` or `tsne`.

    Raises:
        ValueError: fewer vectors than dimensions + 1, more than t-SNE can place in time, or an unknown method.
    """
    if len(vectors) <= dimensions:
        raise ValueError(f"{len(vectors)} vectors are too few for a picture in {dimensions} dimensions")
    if method == "pca":
        return _pca(vectors, dimensions)
    if method != "tsne":
        raise ValueError(f"there is no method {method!r}; choose pca or tsne")
    if len(vectors) > MOST_POINTS:
        raise ValueError(f"t-SNE places at most {MOST_POINTS:,} vectors here, not {len(vectors):,}: take fewer")
    from sklearn.manifold import TSNE  # a second to import, and only here

    start = _pca(vectors, dimensions).points
    start = 1e-4 * start / start[:, 0].std().clamp(min=1e-12)  # the size that the method expects
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    placed = TSNE(dimensions, perplexity=perplexity, init=start.numpy(), random_state=0).fit_transform(vectors.numpy())
    return Picture(torch.from_numpy(placed), ())


def _pca(vectors: Float[Tensor, "point d_model"], dimensions: int) -> Picture:
    centred = vectors - vectors.mean(dim=0)
    left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
    left = left * torch.where(left.abs().amax(dim=0) == left.amax(dim=0), 1.0, -1.0)  # the sign is free: largest up
    points = (left * singular)[:, :dimensions]
    if points.shape[1] < dimensions:  # vectors of fewer dimensions than asked for
        points = torch.nn.functional.pad(points, (0, dimensions - points.shape[1]))
    variance = singular.square()
    shares = variance[:dimensions] / variance.sum().clamp(min=1e-30)
    return Picture(points, tuple(shares.tolist()))


def nearest(vectors: Float[Tensor, "point d_model"], count: int) -> Int[Tensor, "point count"]:
    """The nearest other vectors of each, by cosine, nearest first."""
    unit = torch.nn.functional.normalize(vectors, dim=1)
    similarity = (unit @ unit.T).fill_diagonal_(float("-inf"))
    return similarity.topk(min(count, len(vectors) - 1)).indices
