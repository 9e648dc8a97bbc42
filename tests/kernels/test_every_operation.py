"""What every operation owes in every implementation: refusals, edges, NaN, and the same bits."""

import math
from dataclasses import replace

import pytest
import torch

from numina_kernels import (
    DeviceError,
    DTypeError,
    Impl,
    InferenceOnlyError,
    KeyGroups,
    ShapeError,
    UnsupportedHeadDim,
    ops,
)
from numina_kernels import impl as impls
from numina_kernels.impl import is_installed
from numina_kernels.testing import assert_within_budget, poisoned_buffers, score_rounding
from tests.kernels.drawn_cases import TILE
from tests.kernels.public_calls import CALLS, READS, make_inputs

INF = math.inf

every_call = pytest.mark.parametrize("name", CALLS)
every_tensor_of_every_call = pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in CALLS for part in READS[name]]
)
in_every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"]
)


class ClosedRoom:
    """Stands for an implementation that must not be entered."""

    def __getattr__(self, name):
        def entered(*_):
            raise AssertionError(f"{name} was started")

        return entered


@pytest.fixture
def closed(monkeypatch):
    """Every implementation counts as installed, and none may be started."""
    monkeypatch.setattr(impls, "is_installed", lambda impl: True)
    monkeypatch.setattr(ops, "room", lambda impl: ClosedRoom())


# Refusals.


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda key: key[..., :7], ShapeError, r"key must be \[2, K, 2, 8\].*got \(2, 9, 2, 7\)"),
        (lambda key: key[:1], ShapeError, r"key must be \[2, K, 2, 8\].*got \(1, 9, 2, 8\)"),
        (lambda key: key[:, :, :1], ShapeError, r"key must be \[2, K, 2, 8\].*got \(2, 9, 1, 8\)"),
        (lambda key: key[0], ShapeError, r"key must be \[2, K, 2, 8\].*got \(9, 2, 8\)"),
        (
            lambda key: key.bfloat16(),
            DTypeError,
            r"key must be torch.float32 like query, got torch.bfloat16; "
            "allowed are float16, bfloat16, float32, float64",
        ),
        (lambda key: key.to("meta"), DeviceError, "key is on meta, but query on cpu"),
    ],
    ids=["head dim", "batch", "heads", "dimensions", "dtype", "device"],
)
@every_call
def test_a_key_that_does_not_fit_is_refused_before_anything_starts(
    closed, name, change, error, message
):
    inputs = make_inputs()
    with pytest.raises(error, match=message):
        CALLS[name](replace(inputs, key=change(inputs.key)), Impl.EAGER)


@every_call
def test_a_dtype_that_nothing_multiplies_is_refused_before_anything_starts(closed, name):
    with pytest.raises(DTypeError, match=r"float16, bfloat16, float32, float64, got .*int32"):
        CALLS[name](make_inputs().to(torch.int32), Impl.EAGER)


@pytest.mark.parametrize("part", ["query", "key"])
@pytest.mark.parametrize("cast", [False, True], ids=["as it is", "under autocast"])
@every_call
def test_a_gradient_is_refused_before_anything_starts(closed, name, part, cast):
    inputs = make_inputs()
    weight = torch.ones(8, requires_grad=True)
    inputs = replace(inputs, **{part: getattr(inputs, part) * weight})
    with (
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast),
        pytest.raises(InferenceOnlyError, match=r"is inference only.*torch\.no_grad"),
    ):
        CALLS[name](inputs, Impl.EAGER)


# Edges.


@pytest.mark.parametrize("impl", list(Impl), ids=str)
@pytest.mark.parametrize("empty", ["batch", "queries", "keys", "heads"])
@every_call
def test_empty_input_starts_nothing_and_gives_empty_or_zeros(closed, name, empty, impl):
    inputs = make_inputs(**{empty: 0})
    batch, queries, heads, head_dim = inputs.query.shape
    rows, statistics = (batch, queries, heads), (batch, heads, queries)
    probs, peaks = (batch, heads, 2, queries), (batch, heads, 2, 2)
    expected = {
        "biased_attention": [((*rows, head_dim), 0.0), (statistics, -INF)],
        "biased_attention without a bias": [((*rows, head_dim), 0.0), (statistics, -INF)],
        "biased_attention_with_probs": [
            ((*rows, head_dim), 0.0), (statistics, -INF), (probs, 0.0),
        ],
        "token_probs": [(probs, 0.0)],
        "token_probs with lse": [(probs, 0.0)],
        "token_peaks": [(peaks, 0.0), (peaks, -1)],
        "token_peaks with lse": [(peaks, 0.0), (peaks, -1)],
        "AttentionMap.lse": [(statistics, -INF)],
        "AttentionMap.apply": [((*rows, 3), 0.0), ((*rows, 3), 0.0), (statistics, -INF)],
        "AttentionMap.apply_transposed": [((batch, inputs.key.shape[1], heads, 3), 0.0)],
    }[name]  # fmt: skip

    with poisoned_buffers():
        results = CALLS[name](inputs, impl)

    for got, (shape, value) in zip(results, expected, strict=True):
        assert got.shape == shape
        assert (got == value).all()


@in_every_dtype
@pytest.mark.parametrize("head_dim", [1, 9, 33, 127, 129, 255, 256])
@pytest.mark.parametrize("lengths", [(1, 1), (2 * TILE + 3, TILE + 1)], ids=str)
def test_odd_head_dims_and_lengths_are_right(impl, lengths, head_dim, dtype):
    if impl is Impl.TRITON and dtype == torch.float32 and head_dim > 128:
        pytest.skip("refused by name")
    inputs = make_inputs(1, *lengths, 1, head_dim, dtype=dtype)
    call = CALLS["biased_attention"]
    exact, plain = call(inputs.to(torch.float64), Impl.REFERENCE), call(inputs, Impl.REFERENCE)

    with poisoned_buffers():
        results = call(inputs, impl)

    rounding = score_rounding(inputs.query, inputs.key, inputs.bias, inputs.key_offset)
    floors = (rounding * inputs.value.abs().max().item(), rounding)
    for got, eager, true, floor in zip(results, plain, exact, floors, strict=True):
        assert_within_budget(got, eager, true, floor=floor)


@pytest.mark.skipif(not is_installed(Impl.TRITON), reason="triton is not installed")
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 128), (torch.bfloat16, 256)], ids=str)
@every_call
def test_a_head_dim_that_triton_was_not_built_for_is_refused_by_name(name, dtype, most):
    inputs = make_inputs(1, 2, 3, 1, most + 1, dtype=dtype)
    with pytest.raises(UnsupportedHeadDim, match=rf" {most} of {dtype}, got {most + 1};.*eager"):
        CALLS[name](inputs, Impl.TRITON)
    for got in CALLS[name](inputs, Impl.EAGER):
        assert got.isfinite().all()


@every_call
def test_rows_without_a_key_give_zeros_and_no_nan(impl, name):
    # Products that overflow remove keys where no offset can.
    inputs = make_inputs(1, 6, 5, 1, dtype=torch.bfloat16)
    inputs = replace(
        inputs,
        query=torch.full_like(inputs.query, 1e30),
        key=torch.full_like(inputs.key, -1e30),
    )

    for got in CALLS[name](inputs, impl):
        is_lse = got.shape == (1, 1, 6)
        assert (got == (-INF if is_lse else 0 if got.is_floating_point() else -1)).all()


@every_call
@pytest.mark.parametrize(
    ("dtype", "size"),
    [(torch.float16, 65504.0), (torch.bfloat16, 1e18), (torch.float32, 1e18)],
    ids=["fp16", "bf16", "fp32"],
)
def test_huge_scores_stay_finite(impl, name, dtype, size):
    inputs = make_inputs(1, 24, 90, 2, 80)
    inputs = replace(inputs, query=inputs.query.sign() * size, key=inputs.key.sign() * size)

    for got in CALLS[name](inputs.to(dtype), impl):
        assert got.isfinite().all()
        if name == "token_probs with lse":
            # A noun's may add up to more: of a known log-sum-exp so large, many nats are rounding.
            assert got.max() <= 90, "a key's probability is more than 1"


# NaN.


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@every_tensor_of_every_call
def test_nan_is_where_the_oracle_has_it_and_in_no_other_batch_row(impl, name, part, dtype):
    inputs = make_inputs(3, 12, 2 * TILE + 7, 1, dtype=dtype)
    # Of keys of a noun: with a known log-sum-exp no other one is read.
    positions = (TILE + 5, 2 * TILE + 6) if part in ("key", "value", "x") else (3, 11)
    index = inputs.groups.index.index_fill(1, torch.tensor(positions), 1)
    poisoned = getattr(inputs, part).clone()
    for row, position in enumerate(positions):
        poisoned[row, position, 0, 2] = math.nan
    inputs = replace(inputs, groups=KeyGroups(index, 2), **{part: poisoned})
    expected = CALLS[name](inputs, Impl.REFERENCE)

    results = CALLS[name](inputs, impl)

    assert any(true.isnan().any() for true in expected)
    for got, true in zip(results, expected, strict=True):
        assert got.isnan()[true.isnan()].all()
        assert not got[2].isnan().any()
        if part in ("query", "value", "x", "y") and name != "AttentionMap.apply_transposed":
            assert torch.equal(got.isnan(), true.isnan())


@pytest.mark.parametrize("part", ["key", "value"])
def test_nan_of_a_removed_key_is_not_hidden_either(impl, part):
    inputs = make_inputs(1, 5, 2 * TILE + 7, 1)
    getattr(inputs, part)[0, 2 * TILE + 2] = math.nan
    inputs.key_offset[:, TILE:] = -INF

    output, _ = CALLS["biased_attention"](inputs, impl)

    assert output.isnan().all()


# The same bits.


@every_call
def test_repeats_give_the_same_bits(impl, name):
    inputs = make_inputs(1, 12, 2 * TILE + 7, dtype=torch.bfloat16)
    first = CALLS[name](inputs, impl)
    for _ in range(3 if impl is Impl.TRITON else 20):
        for got, expected in zip(CALLS[name](inputs, impl), first, strict=True):
            assert torch.equal(got, expected)


@every_tensor_of_every_call
def test_heads_more_than_two_to_the_31_elements_apart_give_the_same_bits(impl, name, part):
    inputs = make_inputs(1, 6, TILE + 3, 2, dtype=torch.bfloat16)
    near = getattr(inputs, part)
    _, length, heads, width = near.shape
    # Memory that nobody touches is never mapped, so this takes a few pages.
    far = torch.empty(2**31 + length * width, dtype=near.dtype)
    far = far.as_strided((1, length, heads, width), (0, width, 2**31, 1)).copy_(near)

    results = CALLS[name](replace(inputs, **{part: far}), impl)

    expected = CALLS[name](inputs, impl)
    assert all(torch.equal(got, true) for got, true in zip(results, expected, strict=True))


@every_call
def test_autocast_rounds_the_inputs_once_and_keeps_the_statistics(impl, name):
    inputs = make_inputs(1, 6, TILE + 3)
    expected = CALLS[name](inputs.to(torch.bfloat16), impl)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = CALLS[name](inputs, impl)

    for got, true in zip(results, expected, strict=True):
        assert got.dtype == true.dtype
        assert torch.equal(got, true)
        if got.ndim == 3 or "token" in name:
            assert got.dtype in (torch.float32, torch.int64)
