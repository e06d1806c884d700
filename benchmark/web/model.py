"""The recommender of environment C: a model in the shape of DLRM, on the processor, with NumPy or with PyTorch.

Numbers go through a small network, each category picks a row of a table, all of these vectors meet each other in dot
products, and a second network makes a score of it. Weights are random and the same everywhere: what counts is what it
costs. Imported by the Python of every client, and by the parent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.web.sample import DENSE, SPARSE

MODELS = ("numpy", "torch")
ROWS, WIDTH = 64, 64
"""Rows of each table, and the length of each vector."""
_BOTTOM, _TOP = (256, WIDTH), (256, 128, 1)
_SEED = 20

Array = npt.NDArray[Any]
Predict = Callable[[Array, Array], Array]
"""Scores of candidates, from their numbers and categories."""


class Weights:
    """The parameters, for a number of sets."""

    def __init__(self, sets: int) -> None:
        generator = np.random.default_rng(_SEED)
        vectors = sets * SPARSE + 1

        def layers(first: int, widths: tuple[int, ...]) -> list[tuple[Array, Array]]:
            found = []
            for width in widths:
                weight = generator.standard_normal((first, width), np.float32) / np.float32(np.sqrt(first))
                found.append((weight, generator.standard_normal(width, np.float32) / 10))
                first = width
            return found

        self.bottom = layers(sets * DENSE, _BOTTOM)
        self.tables = generator.standard_normal((sets * SPARSE, ROWS, WIDTH), np.float32)
        self.top = layers(WIDTH + vectors * (vectors - 1) // 2, _TOP)
        self.pairs = np.triu_indices(vectors, 1)


def numpy_model(sets: int) -> Predict:
    """The model with NumPy."""
    weights = Weights(sets)
    tables = np.arange(sets * SPARSE)

    def network(values: Array, layers: list[tuple[Array, Array]]) -> Array:
        for weight, bias in layers[:-1]:
            values = np.maximum(values @ weight + bias, 0)
        weight, bias = layers[-1]
        last: Array = values @ weight + bias
        return last

    def predict(dense: Array, sparse: Array) -> Array:
        first = network(dense, weights.bottom)
        vectors = np.concatenate([first[:, None, :], weights.tables[tables, sparse]], axis=1)
        products = np.matmul(vectors, vectors.transpose(0, 2, 1))
        met = products[:, weights.pairs[0], weights.pairs[1]] / WIDTH
        scores = network(np.concatenate([first, met], axis=1), weights.top)
        probabilities: Array = 1 / (1 + np.exp(-scores[:, 0]))
        return probabilities

    return predict


def torch_model(sets: int) -> Predict:
    """The same model, with the same weights, with PyTorch.

    Raises:
        ImportError: PyTorch is not installed.
    """
    import torch  # type: ignore[import-not-found,unused-ignore]

    torch.set_num_threads(1)
    weights = Weights(sets)
    bottom, top = (
        [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in layers]
        for layers in (weights.bottom, weights.top)
    )
    tables, number = torch.from_numpy(weights.tables), torch.arange(sets * SPARSE)
    rows, columns = (torch.from_numpy(index) for index in weights.pairs)

    def network(values: Any, layers: list[tuple[Any, Any]]) -> Any:
        for weight, bias in layers[:-1]:
            values = torch.relu(torch.addmm(bias, values, weight))
        return torch.addmm(layers[-1][1], values, layers[-1][0])

    def predict(dense: Array, sparse: Array) -> Array:
        with torch.inference_mode():
            first = network(torch.from_numpy(dense), bottom)
            vectors = torch.cat([first[:, None, :], tables[number, torch.from_numpy(sparse)]], dim=1)
            met = torch.bmm(vectors, vectors.transpose(1, 2))[:, rows, columns] / WIDTH
            scores: Array = torch.sigmoid(network(torch.cat([first, met], dim=1), top)[:, 0]).numpy()
        return scores

    return predict


def model_named(name: str, sets: int) -> Predict:
    """Make a model.

    Raises:
        ValueError: No model is called that.
        ImportError: What it needs is not installed.
    """
    if name not in MODELS:
        raise ValueError(f"no model is called {name!r}: {' or '.join(MODELS)}")
    return numpy_model(sets) if name == "numpy" else torch_model(sets)
