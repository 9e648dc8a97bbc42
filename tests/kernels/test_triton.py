"""The Triton kernels against the float64 oracle: on a GPU where there is one, else interpreted.

The contract that all implementations share is tested beside each operation and on drawn cases; here
is what is particular to tiles: which keys are streamed, which go through the masked tail.
"""

import pytest
import torch

from numina_kernels import (
    AttentionMap,
    BiasMode,
    DTypeError,
    ImplementationError,
    KeyGroups,
    UnsupportedHeadDim,
    biased_attention,
    biased_attention_with_probs,
    token_probs,
)
from numina_kernels.testing import make_layout_bias, make_qkv, poisoned_buffers
from tests.kernels.drawn_cases import TILE

pytest.importorskip("triton", reason="triton is not installed: pip install 'triton>=3.6'")

from numina_kernels.triton import launch, operands

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
try:
    launch.architecture(torch.empty(0, device=DEVICE))
except ImplementationError:
    pytest.skip(
        "no CUDA device, and triton was imported before TRITON_INTERPRET=1 was set",
        allow_module_level=True,
    )


# Which keys have a noun, and which an offset, among 4 full tiles and 7 more keys.
PLACES = {
    "nothing touched": ((), ()),
    "in the first tile": ((0, 5), ()),
    "in the middle": ((TILE + 8, 2 * TILE + 6), ()),
    "over the edge of two tiles": ((TILE - 1, TILE), ()),
    "in the incomplete tile": ((4 * TILE + 2,), ()),
    "first and last": ((0, 4 * TILE + 6), ()),
    "an offset on the last key": ((3,), (4 * TILE + 6,)),
    "an offset inside a full tile": ((3,), (3 * TILE + 4,)),
    "an offset before the nouns": ((2 * TILE + 6, 3 * TILE), (TILE + 8,)),
    "an offset on every key": ((TILE + 70,), range(4 * TILE + 7)),
}


def place(nouns, offsets, dtype=torch.float32, queries=5):
    keys = 4 * TILE + 7
    query, key, value = make_qkv(1, queries, keys, 1, 16, dtype=dtype)
    groups = KeyGroups.from_positions([list(nouns[:1]), list(nouns[1:])], keys)
    offset = torch.zeros(1, keys)
    offset[:, list(offsets)] = 1.5
    return query, key, value, groups, make_layout_bias(groups, queries), offset


@pytest.mark.parametrize("where", PLACES)
def test_every_key_is_seen_once_wherever_the_touched_ones_stand(where):
    query, key, value, groups, bias, offset = place(*PLACES[where])
    expected = biased_attention_with_probs(
        query.double(), key.double(), value.double(), groups, bias,
        key_offset=offset, impl="reference",
    )  # fmt: skip

    for given_offset in (offset, None) if not offset.any() else (offset,):
        actual = biased_attention_with_probs(
            query.to(DEVICE), key.to(DEVICE), value.to(DEVICE), groups.to(DEVICE),
            bias.to(DEVICE), impl="triton",
            key_offset=None if given_offset is None else given_offset.to(DEVICE),
        )  # fmt: skip
        for got, true in zip(actual, expected, strict=True):
            torch.testing.assert_close(got.cpu().double(), true, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("where", PLACES)
def test_strength_zero_has_the_bits_of_no_bias_over_many_tiles(where):
    query, key, value, _, bias, offset = (x.to(DEVICE) for x in place(*PLACES[where]))
    bias = bias.with_strength(torch.zeros((), device=DEVICE))

    off = biased_attention(query, key, value, bias, key_offset=offset, impl="triton")
    none = biased_attention(query, key, value, key_offset=offset, impl="triton")

    assert all(torch.equal(a, b) for a, b in zip(off, none, strict=True))


def test_asking_for_probabilities_changes_no_bit_of_the_output():
    query, key, value, groups, bias, offset = (
        x.to(DEVICE) for x in place((3, 150), (4 * TILE + 6,))
    )

    alone = biased_attention(query, key, value, bias, key_offset=offset, impl="triton")
    beside = biased_attention_with_probs(
        query, key, value, groups, bias, key_offset=offset, impl="triton"
    )

    assert all(torch.equal(a, b) for a, b in zip(alone, beside[:2], strict=True))


def test_the_strength_is_read_when_the_kernel_runs():
    query, key, value, _, bias, _ = (x.to(DEVICE) for x in place((3, 150), ()))
    bias = bias.with_strength(torch.zeros((), device=DEVICE))
    off, _ = biased_attention(query, key, value, bias, impl="triton")

    bias.strength.fill_(1.0)
    on, _ = biased_attention(query, key, value, bias, impl="triton")

    assert not torch.equal(on, off)


def test_nouns_put_last_are_the_same_attention():
    query, key, value, groups, bias, _ = place((3, 150, 200), ())
    order, moved = groups.nouns_last()
    moved_bias = type(bias).trusted(
        bias.labels, moved, bias.table, bias.mode, bias.strength, bias.weight
    )
    expected = biased_attention_with_probs(query, key, value, groups, bias, impl="reference")

    actual = biased_attention_with_probs(
        query.to(DEVICE), key[:, order].to(DEVICE), value[:, order].to(DEVICE),
        moved.to(DEVICE), moved_bias.to(DEVICE), impl="triton",
    )  # fmt: skip

    assert moved.columns.tolist() == [4 * TILE + 4, 4 * TILE + 5, 4 * TILE + 6]
    for got, true in zip(actual, expected, strict=True):
        torch.testing.assert_close(got.cpu(), true, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("known", [False, True])
def test_more_nouns_and_tokens_than_one_round_takes(known):
    query, key, _ = make_qkv(1, 5, 150, 1, 16, dtype=torch.float32)
    groups = KeyGroups((torch.arange(150) % 40).clamp_max(37).to(torch.int8)[None], 38)
    attention = AttentionMap(query, key, impl="reference")
    expected = token_probs(query, key, groups, impl="reference")

    probs = token_probs(
        query.to(DEVICE), key.to(DEVICE), groups.to(DEVICE), impl="triton",
        lse=attention.lse.to(DEVICE) if known else None,
    )  # fmt: skip

    assert groups.columns.numel() > launch.MOST_GATHERED
    torch.testing.assert_close(probs.cpu(), expected)


def test_a_negative_scale_is_a_scale():
    query, key, value = (x.to(DEVICE) for x in make_qkv(1, 5, 40, 1, 16, dtype=torch.float32))

    actual, expected = (
        biased_attention(query, key, value, scale=-0.7, impl=impl)
        for impl in ("triton", "reference")
    )

    for got, true in zip(actual, expected, strict=True):
        torch.testing.assert_close(got, true)


@pytest.mark.parametrize("turn", [1, -1], ids=["high", "low"])
@pytest.mark.parametrize("huge", [slice(None), slice(0, 2 * TILE), slice(3 * TILE, None)], ids=str)
@pytest.mark.parametrize("size", [2.0**9, 2.0**13, 2.0**25, 6e4])
def test_scores_that_are_rounded_by_many_nats_keep_the_largest_probability(size, huge, turn):
    """A pivot that is rounded where the scores are not would be off by ``exp`` of that much."""
    query, key, value, groups, bias, _ = place(
        *PLACES["in the middle"], dtype=torch.float16 if size == 6e4 else torch.bfloat16, queries=24
    )
    large = torch.full_like(query, size) * (1 + query.tanh() / 16)
    key[:, huge] = turn * size * (1 + key[:, huge].tanh() / 16)

    for given in (None, bias):
        expected, expected_lse = biased_attention(large, key, value, given, impl="eager")
        output, lse, probs = biased_attention_with_probs(
            large.to(DEVICE), key.to(DEVICE), value.to(DEVICE), groups.to(DEVICE),
            None if given is None else given.to(DEVICE), impl="triton",
        )  # fmt: skip
        assert probs.isfinite().all()
        torch.testing.assert_close(lse.cpu(), expected_lse, rtol=1e-6, atol=1e-3)
        assert output.isfinite().all()
        # Of keys within rounding of each other any may be the largest, but one of them is.
        assert (output.cpu().abs().amax(-1) > 0).all()
        assert (output.cpu().abs() <= value.abs().amax()).all()
        if size < 2.0**13:
            torch.testing.assert_close(output.cpu(), expected, rtol=2e-2, atol=2e-2)


def test_results_of_far_apart_rows_are_written_where_they_belong(monkeypatch):
    query, key, _ = make_qkv(1, 9, 70, 2, 16, dtype=torch.float32)
    x = torch.randn(1, 70, 2, 40)
    expected = AttentionMap(query.double(), key.double(), impl="reference").apply(x.double())
    monkeypatch.setattr(operands, "FARTHEST_ROW", 16)

    with poisoned_buffers():
        actual = AttentionMap(query.to(DEVICE), key.to(DEVICE), impl="triton").apply(x.to(DEVICE))

    torch.testing.assert_close(actual.cpu().double(), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("columns", [0, 150])
def test_any_number_of_columns_can_be_multiplied(columns):
    query, key, _ = make_qkv(1, 5, 40, 1, 16, dtype=torch.float32)
    y, x, _ = make_qkv(1, 5, 40, 1, columns, dtype=torch.float32)
    expected = AttentionMap(query, key, impl="reference")
    actual = AttentionMap(query.to(DEVICE), key.to(DEVICE), impl="triton")

    with poisoned_buffers():
        product, transposed = actual.apply(x.to(DEVICE)), actual.apply_transposed(y.to(DEVICE))

    torch.testing.assert_close(product.cpu(), expected.apply(x))
    torch.testing.assert_close(transposed.cpu(), expected.apply_transposed(y))
    torch.testing.assert_close(actual.lse.cpu(), expected.lse)


def test_vectors_that_are_not_contiguous_are_read_right():
    query, key, value = make_qkv(1, 5, 40, 2, 16, dtype=torch.float32)
    expected = biased_attention(query, key, value, impl="reference")

    scattered = [x.to(DEVICE).transpose(2, 3).contiguous().transpose(2, 3) for x in (query, key)]
    actual = biased_attention(*scattered, value.to(DEVICE), impl="triton")

    for got, true in zip(actual, expected, strict=True):
        torch.testing.assert_close(got.cpu(), true)


def test_a_batch_may_lie_beyond_two_to_the_31_elements():
    query, key, value = make_qkv(1, 2, 520, 1, 16, dtype=torch.bfloat16)
    # Memory that is never touched is never taken: one page a row.
    far = torch.empty(520 * 2**22 + 16, dtype=torch.bfloat16, device=DEVICE)
    rows = far.as_strided((1, 520, 1, 16), (0, 2**22, 16, 1))
    rows.copy_(key)

    near = biased_attention(*(x.to(DEVICE) for x in (query, key, value)), impl="triton")
    actual = biased_attention(query.to(DEVICE), rows, value.to(DEVICE), impl="triton")

    assert far.numel() > 2**31
    assert all(torch.equal(a, b) for a, b in zip(actual, near, strict=True))


@pytest.mark.slow
def test_a_hundred_repeats_give_the_same_bits():
    tensors = (x.to(DEVICE) for x in make_qkv(1, 3, 40, 1, 16, dtype=torch.bfloat16))
    query, key, value = tensors
    groups = KeyGroups.from_positions([[3], [37]], 40, DEVICE)
    first = biased_attention_with_probs(query, key, value, groups, impl="triton")
    for _ in range(100):
        again = biased_attention_with_probs(query, key, value, groups, impl="triton")
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_what_no_kernel_was_built_for_is_refused():
    query, key, value = (x.to(DEVICE) for x in make_qkv(1, 2, 3, 1, 16, dtype=torch.float64))
    with pytest.raises(DTypeError, match=r"float16, bfloat16 or float32, got torch.float64.*eager"):
        biased_attention(query, key, value, impl="triton")
    query, key, value = (x.to(DEVICE) for x in make_qkv(1, 2, 3, 1, 129, dtype=torch.float32))
    for call in (
        lambda: biased_attention(query, key, value, impl="triton"),
        lambda: AttentionMap(query, key, impl="triton").lse,
        lambda: token_probs(
            query, key, KeyGroups.from_positions([[1]], 3, DEVICE), impl="triton",
            lse=torch.zeros(1, 1, 2, device=DEVICE),
        ),
    ):  # fmt: skip
        with pytest.raises(UnsupportedHeadDim, match=r"up to 128 of torch.float32, got 129.*eager"):
            call()


@pytest.mark.parametrize("mode", BiasMode)
def test_a_target_that_float16_cannot_hold_is_exact(mode):
    query, key, value, groups, bias, _ = place((3, 150), ())
    bias.mode.fill_(mode)
    bias.table.fill_(-1e6)
    expected = biased_attention_with_probs(query, key, value, groups, bias, impl="reference")

    actual = biased_attention_with_probs(
        *(x.to(DEVICE) for x in (query, key, value, groups, bias)), impl="triton"
    )

    for got, true in zip(actual, expected, strict=True):
        torch.testing.assert_close(got.cpu(), true, atol=2e-6, rtol=1e-5)
