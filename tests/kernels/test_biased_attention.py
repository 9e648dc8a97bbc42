import math

import pytest
import torch
from torch.nn import functional

from numina_kernels import (
    BiasMode,
    Impl,
    KeyGroups,
    LayoutBias,
    biased_attention,
    biased_attention_with_probs,
)
from numina_kernels.testing import (
    assert_within_budget,
    make_groups,
    make_layout_bias,
    make_qkv,
    poisoned_buffers,
    score_rounding,
)
from tests.kernels.drawn_cases import TILE

INF = math.inf

in_every_dtype = pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float32, torch.bfloat16, torch.float16],
    ids=["fp64", "fp32", "bf16", "fp16"],
)


def roundings(query, key, value, bias, offset=None):
    """What a score that is off by one rounding does to output, log-sum-exp and probabilities."""
    rounding = score_rounding(query, key, bias, offset)
    return rounding * value.abs().max().item(), rounding, rounding


def test_agreement_holds_over_many_tiles(impl):
    query, key, value = make_qkv(2, 130, 1500, 5, 8, dtype=torch.float32)
    groups = make_groups(1, 1500, 3)
    bias = make_layout_bias(groups, 130, heads=5)
    exact = biased_attention_with_probs(
        query.double(), key.double(), value.double(), groups, bias, impl="reference"
    )
    plain = biased_attention_with_probs(query, key, value, groups, bias, impl="reference")

    with poisoned_buffers():
        actual = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)

    floors = roundings(query, key, value, bias)
    for got, eager, true, floor in zip(actual, plain, exact, floors, strict=True):
        assert_within_budget(got, eager, true, floor=floor)


def one_query(table, mode, *, strength=1.0, weight=None, scores=(0.0, 0.0)):
    """One query with the given scores of two keys, the second of which belongs to a noun."""
    query = torch.ones(1, 1, 1, 1)
    key = torch.tensor(scores).view(1, 2, 1, 1)
    value = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    groups = KeyGroups.from_positions([[1]], keys=2)
    bias = LayoutBias(
        labels=torch.zeros(1, 1, 1, dtype=torch.int8),
        groups=groups,
        table=torch.full((1, 1, 1, 1), table),
        mode=torch.full((1, 1, 1), mode, dtype=torch.int8),
        weight=None if weight is None else torch.full((1, 1, 1), weight),
        strength=torch.tensor(strength),
    )
    return query, key, value, groups, bias


@pytest.mark.parametrize(
    ("settings", "score"),
    [
        ({"table": 2.0, "mode": BiasMode.ADD, "strength": 0.5}, 0.7 + 1.0),
        ({"table": -INF, "mode": BiasMode.ADD, "strength": 0.5}, -INF),
        ({"table": 2.0, "mode": BiasMode.OVERWRITE, "strength": 0.5}, 1.0),
        ({"table": 2.7, "mode": BiasMode.LIFT, "strength": 0.5, "weight": 0.5}, 0.7 + 0.5),
        ({"table": -3.0, "mode": BiasMode.LIFT, "weight": 1.0}, 0.7),
        ({"table": -3.0, "mode": BiasMode.OVERWRITE, "strength": 0.0}, 0.7),
    ],
    ids=["add", "remove", "overwrite", "lift", "lift does not lower", "off"],
)
def test_the_modes_by_hand(impl, settings, score):
    query, key, value, groups, bias = one_query(**settings, scores=(0.2, 0.7))

    output, lse, probs = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)

    weight = math.exp(score)
    expected = weight / (math.exp(0.2) + weight)
    assert output.item() == pytest.approx(expected, abs=1e-6)
    assert probs.item() == pytest.approx(expected, abs=1e-6)
    assert lse.item() == pytest.approx(math.log(math.exp(0.2) + weight), abs=1e-6)


def test_a_query_is_biased_by_its_own_class_only(impl):
    query, key, value = make_qkv(1, 40, 12, 2, 16, dtype=torch.float32)
    groups = make_groups(1, 12, 2)
    bias = make_layout_bias(groups, 40, modes=(BiasMode.ADD,))
    bias.table[..., 0] = 0.0
    untouched = (bias.labels == 0).all(dim=1)[0]

    plain, _ = biased_attention(query, key, value, impl=impl)
    biased, _ = biased_attention(query, key, value, bias, impl=impl)

    assert 0 < untouched.sum() < 40
    assert torch.equal(biased[:, untouched], plain[:, untouched])
    assert not torch.equal(biased[:, ~untouched], plain[:, ~untouched])


def test_strong_suppression_removes_the_column(impl):
    query, key, value = make_qkv(1, 64, 20, 2, 32, dtype=torch.float32)
    groups = KeyGroups.from_positions([[7]], keys=20)
    bias = make_layout_bias(groups, 64, classes=1, modes=(BiasMode.ADD,))
    bias.table.fill_(-INF)
    kept = [column for column in range(20) if column != 7]

    suppressed, lse, probs = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)
    without, lse_without = biased_attention(query, key[:, kept], value[:, kept], impl="reference")

    torch.testing.assert_close(suppressed, without, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(lse, lse_without, atol=1e-6, rtol=1e-5)
    assert (probs == 0).all()


@in_every_dtype
@pytest.mark.parametrize(("offset", "strength"), [(None, 0.0), (0.5, -0.0)])
@pytest.mark.parametrize("keys", [24, 2 * TILE + 6])
def test_strength_zero_has_the_bits_of_no_bias(impl, keys, offset, strength, dtype):
    if impl is Impl.TRITON and dtype == torch.float64:
        pytest.skip("refuses float64")
    query, key, value = make_qkv(2, 50, keys, 2, 16, dtype=dtype)
    # The first tile alone has nouns, so that a bias that is on changes the order of the tiles.
    index = functional.pad(make_groups(2, 24, 3).index, (0, keys - 24), value=-1)
    groups = KeyGroups(index, 3)
    bias = make_layout_bias(groups, 50, batch=2, heads=2, strength=strength)
    bias.table[..., 0] = -INF
    offset = None if offset is None else torch.randn(1, keys)

    off = biased_attention_with_probs(query, key, value, groups, bias, key_offset=offset, impl=impl)
    none = biased_attention_with_probs(query, key, value, groups, key_offset=offset, impl=impl)

    assert all(torch.equal(a, b) for a, b in zip(off, none, strict=True))


@in_every_dtype
@pytest.mark.parametrize("keys", [10, 2 * TILE + 6])
def test_an_empty_plan_has_the_bits_of_no_bias(impl, keys, dtype):
    if impl is Impl.TRITON and dtype == torch.float64:
        pytest.skip("refuses float64")
    query, key, value = make_qkv(1, 30, keys, 2, 16, dtype=dtype)
    nowhere = torch.full((1, keys), -1, dtype=torch.int8)
    for groups in (KeyGroups(nowhere, 2), KeyGroups(nowhere, 0)):
        plain = biased_attention_with_probs(query, key, value, groups, impl=impl)
        bias = make_layout_bias(groups, 30)
        biased = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)
        assert all(torch.equal(a, b) for a, b in zip(biased, plain, strict=True))


def test_the_offset_of_the_bias_acts_at_any_strength(impl):
    query, key, value = make_qkv(1, 30, 10, 2, 16, dtype=torch.float32)
    groups, offset = make_groups(1, 10, 2), torch.randn(1, 10)
    bias = make_layout_bias(groups, 30, strength=0.0, key_offset=offset)

    inside, _ = biased_attention(query, key, value, bias, impl=impl)
    beside, _ = biased_attention(query, key, value, key_offset=offset, impl=impl)

    assert torch.equal(inside, beside)


def test_no_mode_brings_an_absent_key_back(impl):
    for mode in BiasMode:
        query, key, value, groups, bias = one_query(5.0, mode, weight=1.0)
        output, lse, probs = biased_attention_with_probs(
            query, key, value, groups, bias, key_offset=torch.tensor([[0.0, -INF]]), impl=impl
        )
        assert (output.item(), lse.item(), probs.item()) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("mode", BiasMode)
def test_no_mode_brings_back_a_key_whose_score_is_minus_infinity(impl, mode):
    query, key, value, groups, bias = one_query(5.0, mode, weight=1.0, scores=(0.2, -INF))

    output, lse, probs = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)

    assert (output.item(), probs.item()) == (0.0, 0.0)
    assert lse.item() == pytest.approx(0.2)


@pytest.mark.parametrize("mode", BiasMode)
def test_no_mode_hides_a_score_that_overflowed(impl, mode):
    query, key, value, groups, bias = one_query(5.0, mode, weight=1.0, scores=(0.2, INF))
    without = biased_attention_with_probs(query, key, value, groups, impl=impl)

    biased = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)

    for output, lse, probs in (without, biased):
        assert output.isnan().all()
        assert probs.isnan().all()
        assert not lse.isfinite().any()


@pytest.mark.parametrize("by_bias", [True, False], ids=["by the bias", "by the offset"])
def test_a_row_without_a_key_is_zero(impl, by_bias):
    query, key, value = make_qkv(1, 6, 5, 2, 8, dtype=torch.float32)
    groups = KeyGroups(torch.zeros(1, 5, dtype=torch.int8), 1)
    bias = make_layout_bias(groups, 6, classes=2, modes=(BiasMode.ADD,))
    bias.table[..., 0], bias.table[..., 1] = -INF, 0.0
    offset = None if by_bias else torch.full((1, 5), -INF)
    removed = (bias.labels[0, 0] == 0) if by_bias else torch.ones(6, dtype=torch.bool)

    for bias_or_none in (bias, bias) if by_bias else (None, bias):
        output, lse, probs = biased_attention_with_probs(
            query, key, value, groups, bias_or_none, key_offset=offset, impl=impl
        )
        assert removed.any()
        assert (output[:, removed] == 0).all()
        assert (lse[:, :, removed] == -INF).all()
        assert (probs[..., removed] == 0).all()
        assert output[:, ~removed].isfinite().all()


@pytest.mark.parametrize("empty", ["batch", "queries", "keys", "heads"])
def test_empty_input_gives_empty_or_zero_output(impl, empty):
    sizes = {"batch": 2, "queries": 6, "keys": 5, "heads": 3} | {empty: 0}
    query, key, value = make_qkv(*sizes.values(), 8, dtype=torch.float32)
    groups = make_groups(1, sizes["keys"], 2)

    with poisoned_buffers():
        output, lse, probs = biased_attention_with_probs(query, key, value, groups, impl=impl)
        alone = biased_attention(query, key, value, impl=impl)

    batch, queries, _, heads = sizes.values()
    assert torch.equal(alone[0], output)
    assert torch.equal(alone[1], lse)
    assert output.shape == (batch, queries, heads, 8)
    assert probs.shape == (batch, heads, 2, queries)
    assert (output == 0).all()
    assert (lse == -INF).all()
    assert (probs == 0).all()


def test_nan_in_a_query_stays_in_its_row(impl):
    query, key, value = make_qkv(2, 9, 7, 2, 8, dtype=torch.float32)
    bias = make_layout_bias(make_groups(1, 7, 2), 9)
    clean, clean_lse = biased_attention(query, key, value, bias, impl=impl)
    query[1, 4, 0, 3] = math.nan

    output, lse = biased_attention(query, key, value, bias, impl=impl)

    assert output[1, 4, 0].isnan().all()
    assert lse[1, 0, 4].isnan()
    output[1, 4, 0], lse[1, 0, 4] = clean[1, 4, 0], clean_lse[1, 0, 4]
    assert torch.equal(output, clean)
    assert torch.equal(lse, clean_lse)


@pytest.mark.parametrize("mode", BiasMode)
def test_nan_in_a_key_is_never_hidden(impl, mode):
    query, key, value = make_qkv(1, 9, 7, 2, 8, dtype=torch.float32)
    bias = make_layout_bias(KeyGroups.from_positions([[3]], keys=7), 9, modes=(mode,))
    key[0, 3, 1, 0] = math.nan

    output, lse = biased_attention(query, key, value, bias, impl=impl)

    assert output[:, :, 1].isnan().all()
    assert lse[:, 1].isnan().all()
    assert output[:, :, 0].isfinite().all()


def test_nan_in_a_value_is_never_hidden(impl):
    query, key, value = make_qkv(1, 9, 7, 2, 8, dtype=torch.float32)
    value[0, 3, 1, 5] = math.nan

    output, lse = biased_attention(query, key, value, impl=impl)

    assert output[:, :, 1, 5].isnan().all()
    assert output.isnan().sum() == 9
    assert lse.isfinite().all()


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float16, 65504.0), (torch.bfloat16, 1e18), (torch.float32, 1e18)],
    ids=["fp16", "bf16", "fp32"],
)
def test_huge_scores_stay_finite(impl, dtype, size):
    query, key, value = make_qkv(1, 9, 7, 2, 8, dtype=torch.float32)
    query, key = query.sign() * size, key.sign() * size
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    bias = make_layout_bias(make_groups(1, 7, 2), 9)

    output, lse = biased_attention(query, key, value, bias, impl=impl)

    assert output.isfinite().all()
    assert lse.isfinite().all()
    assert (output.abs() <= value.abs().amax()).all()


def test_the_same_input_gives_the_same_bits(impl):
    query, key, value = make_qkv(2, 300, 77, 4, 32, dtype=torch.bfloat16)
    groups = make_groups(1, 77, 3)
    bias = make_layout_bias(groups, 300)
    first = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)
    for _ in range(5):
        again = biased_attention_with_probs(query, key, value, groups, bias, impl=impl)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_inputs_are_left_alone(impl):
    query, key, value = make_qkv(1, 20, 10, 2, 8, dtype=torch.float32)
    groups = make_groups(1, 10, 2)
    bias = make_layout_bias(groups, 20, key_offset=torch.randn(1, 10))
    tensors = (query, key, value, bias.table, bias.labels, bias.key_offset, groups.index)
    before = [tensor.clone() for tensor in tensors]

    biased_attention_with_probs(query, key, value, groups, bias, impl=impl)

    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


def test_the_scale_can_be_chosen(impl):
    query, key, value = make_qkv(1, 20, 10, 2, 16, dtype=torch.float32)
    scaled, _ = biased_attention(query * 0.5, key, value, scale=1.0, impl=impl)
    chosen, _ = biased_attention(query, key, value, scale=0.5, impl=impl)

    torch.testing.assert_close(scaled, chosen, atol=1e-6, rtol=1e-5)
