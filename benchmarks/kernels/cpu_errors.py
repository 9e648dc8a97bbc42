"""Largest errors of what is timed on a CPU, against float64 and before any bias was rounded."""

from functools import cached_property

import torch
from torch import Tensor

from benchmarks.kernels.text_attention import TextAttention
from numina_kernels import token_probs
from numina_kernels.impl import Impl

# Rows whose error is measured: float64 scores of all of them would fill the memory.
CHECKED = 128


class TextErrors:
    """Errors of an attention to a text, of its first rows."""

    def __init__(self, inputs: TextAttention) -> None:
        self._first = inputs.rows(torch.arange(min(CHECKED, inputs.query.shape[1])))

    def biased(self, output: Tensor) -> float:
        """Of an output ``[1, Q, H, D]`` under the bias of the layout."""
        return _largest(output[:, :CHECKED], self._biased)

    def plain(self, output: Tensor) -> float:
        """Of an output ``[1, Q, H, D]`` without a bias."""
        return _largest(output[:, :CHECKED], self._plain)

    def probs(self, probs: Tensor) -> float:
        """Of the nouns' probabilities ``[1, H, G, Q]`` without a bias."""
        return _largest(probs[..., :CHECKED], self._probs)

    @cached_property
    def _biased(self) -> Tensor:
        return self._first.exact(biased=True)

    @cached_property
    def _plain(self) -> Tensor:
        return self._first.exact(biased=False)

    @cached_property
    def _probs(self) -> Tensor:
        query, key = self._first.query.double(), self._first.key.double()
        return token_probs(query, key, self._first.groups, impl=Impl.REFERENCE)


class MapErrors:
    """Errors of the products with a map, of all rows; one head's map is stored at a time.

    Args:
        query: ``[1, N, H, D]``.
        key: ``[1, N, H, D]``.
        columns: ``[1, N, H, C]``, what the map and its transpose are multiplied with.
    """

    def __init__(self, query: Tensor, key: Tensor, columns: Tensor) -> None:
        self._inputs = (query, key, columns)

    def product(self, product: Tensor) -> float:
        """Of ``P X``, ``[1, N, H, C]``."""
        return _largest(product, self._products[0])

    def transposed(self, product: Tensor) -> float:
        """Of ``P^T X``, ``[1, N, H, C]``."""
        return _largest(product, self._products[1])

    @cached_property
    def _products(self) -> tuple[Tensor, Tensor]:
        straight, transposed = [], []
        for head in range(self._inputs[0].shape[2]):
            query, key, columns = (each[0, :, head].double() for each in self._inputs)
            probs = (query @ key.mT * query.shape[-1] ** -0.5).softmax(dim=-1)
            straight.append(probs @ columns)
            transposed.append(probs.mT @ columns)
        return torch.stack(straight, dim=1)[None], torch.stack(transposed, dim=1)[None]


def _largest(actual: Tensor, exact: Tensor) -> float:
    return (actual.double() - exact).abs().max().item()
