"""The eager path never holds all scores nor a bias for each of them, and tiles do not show."""

import math
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from numina_kernels import KeyGroups, eager
from numina_kernels.eager import tiles
from numina_kernels.testing import make_layout_bias, make_qkv


class Allocations(TorchDispatchMode):
    """Shapes of all new tensors, and the most bytes of them that were alive at once.

    A dispatch mode sees an operation as one call, so it must be put around the functions of the
    implementation, not around the public ones.
    """

    def __init__(self):
        super().__init__()
        self.shapes, self.peak = [], 0
        self._tensors = weakref.WeakValueDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        foreign = self._storages(tree_leaves((args, kwargs)))
        ours = self._storages(self._tensors.values())
        for tensor in tree_leaves(result):
            storages = self._storages([tensor]).keys()
            if storages - ours.keys() - foreign.keys():
                self.shapes.append(tuple(tensor.shape))
            if storages - foreign.keys() or storages & ours.keys():
                self._tensors[id(tensor)] = tensor
        self.peak = max(self.peak, sum(self._storages(self._tensors.values()).values()))
        return result

    @staticmethod
    def _storages(leaves):
        storages = [x.untyped_storage() for x in leaves if isinstance(x, torch.Tensor)]
        return {storage.data_ptr(): storage.nbytes() for storage in storages}


def case(queries, keys=96, heads=4):
    tensors = make_qkv(1, queries, keys, heads, 16, dtype=torch.float32)
    groups = KeyGroups.from_positions([[3, 4], [7]], keys)
    return *tensors, groups, make_layout_bias(groups, queries, heads=heads)


def attend(query, key, value, groups, bias):
    return eager.biased_attention_with_probs(query, key, value, groups, bias, None, 0.25)


def probs(query, key, value, groups, bias):
    return eager.token_probs(query, key, groups, None, None, 0.25)


def peaks(query, key, value, groups, bias):
    return eager.token_peaks(query, key, groups, 5, None, None, 0.25)


def products(query, key, value, groups, bias):
    output, lse = eager.attention_map_apply(query, key, value, 0.25)
    again = eager.attention_map_reapply(query, key, value, lse, 0.25)
    return output, again, eager.attention_map_apply_transposed(query, key, query, lse, 0.25)


@pytest.mark.parametrize("budget", [1, 5_000, 60_000], ids="{} bytes".format)
@pytest.mark.parametrize("operation", [attend, probs, peaks, products], ids=lambda f: f.__name__)
def test_the_result_does_not_depend_on_the_tiles(monkeypatch, operation, budget):
    inputs = case(queries=70, keys=12)
    whole = operation(*inputs)

    monkeypatch.setitem(tiles.SCORE_BYTES, "cpu", budget)
    tiled = operation(*inputs)

    torch.testing.assert_close(tiled, whole)


def test_the_bias_makes_no_tensor_with_an_entry_for_each_score():
    query, key, value, groups, bias = case(queries=200)
    large = []
    for some_bias in (None, bias):
        with Allocations() as allocations:
            attend(query, key, value, groups, some_bias)
        large.append([shape for shape in allocations.shapes if math.prod(shape) >= 200 * 96])

    assert large[0] == large[1], "the bias made another large tensor"
    assert large[0] == [(4 * 200 * 96,)], "the scores are one buffer, used again"


@pytest.mark.parametrize("operation", [attend, probs, peaks, products], ids=lambda f: f.__name__)
def test_the_scores_alive_at_once_do_not_grow_with_the_queries(operation):
    extra = []
    for queries in (4_000, 16_000):
        inputs = case(queries)
        with Allocations() as allocations:
            outputs = operation(*inputs)
        # Columns of the transposed product are copied once; all else comes tile by tile.
        linear = sum(x.nbytes for x in tree_leaves(outputs)) + inputs[0].nbytes
        extra.append(allocations.peak - linear)

    assert 10 * tiles.SCORE_BYTES["cpu"] < 4 * 16_000 * 96 * 4, "the case is too small to tell"
    assert max(extra) < 2 * tiles.SCORE_BYTES["cpu"]


@pytest.mark.parametrize(
    "shape", [(1, 75_600, 40, 75_600), (2, 1, 40, 512), (64, 32_760, 12, 512)], ids=str
)
def test_tiles_of_production_sizes_fit_the_budget_and_cover_everything(shape):
    batch, queries, heads, keys = shape
    query = torch.empty(1, device="meta").expand(batch, queries, heads, 128)
    covered = 0
    for some in tiles.head_chunks(query, keys):
        chunk = query[:, :, some]
        for rows in tiles.query_chunks(chunk, keys):
            tile = batch * chunk.shape[2] * (rows.stop - rows.start) * keys
            assert 4 * tile <= tiles.SCORE_BYTES_ELSEWHERE
            covered += tile

    assert covered == batch * queries * heads * keys
    assert covered > 2**31 or queries == 1
