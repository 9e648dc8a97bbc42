"""What only the C++ implementation promises: all instruction sets, threads, blocks, and memory."""

import math
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from numina_kernels import (
    AttentionMap,
    DeviceError,
    Impl,
    KeyGroups,
    biased_attention,
    biased_attention_with_probs,
    eager,
    token_probs,
)
from numina_kernels.impl import is_installed
from numina_kernels.testing import (
    assert_within_budget,
    make_groups,
    make_layout_bias,
    make_qkv,
    poisoned_buffers,
    score_rounding,
)

if not is_installed(Impl.CPU):
    pytest.skip(
        "the C++ extension is not built: pip install --no-build-isolation --editable .",
        allow_module_level=True,
    )

from numina_kernels import cpu
from numina_kernels.cpu import extension

INF = math.inf


def attend(query, key, value, groups, bias=None, offset=None, impl=Impl.CPU):
    """All that one pass can give."""
    return biased_attention_with_probs(
        query, key, value, groups, bias, key_offset=offset, impl=impl
    )


def assert_right(query, key, value, groups, bias=None, offset=None):
    """Within the error of plain torch, and every element written."""
    wide = (query.double(), key.double(), value.double())
    exact = attend(*wide, groups, bias, offset, impl=Impl.REFERENCE)
    plain = attend(query, key, value, groups, bias, offset, impl=Impl.REFERENCE)
    with poisoned_buffers():
        actual = attend(query, key, value, groups, bias, offset)
    rounding = score_rounding(query, key, bias, offset)
    floors = (rounding * value.abs().max().item(), rounding, rounding)
    for got, eagerly, true, floor in zip(actual, plain, exact, floors, strict=True):
        assert_within_budget(got, eagerly, true, floor=floor)


@contextmanager
def using(instruction_set):
    """Run another instruction set of this CPU than the best one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extension, "INSTRUCTION_SETS", (instruction_set,))
        yield


# The last one runs on every CPU, so there is always one.
on_every_instruction_set = pytest.mark.parametrize("instruction_set", extension.INSTRUCTION_SETS)


@on_every_instruction_set
@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(st.integers(1, 2), st.integers(1, 120), st.integers(1, 80), st.integers(1, 3)),
    head_dim=st.integers(1, 140),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    strength=st.sampled_from([0.0, 1.25]),
    seed=st.integers(0, 2**16),
)
def test_every_instruction_set_stays_within_the_error_of_plain_torch(
    instruction_set, sizes, head_dim, dtype, strength, seed
):
    batch, queries, keys, heads = sizes
    query, key, value = make_qkv(*sizes, head_dim, dtype=dtype, seed=seed)
    groups = make_groups(batch, keys, 3, seed=seed)
    bias = make_layout_bias(groups, queries, batch=batch, heads=heads, strength=strength, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    offset = torch.randn(1, keys, generator=generator)
    offset[torch.rand(offset.shape, generator=generator) < 0.2] = -INF

    with using(instruction_set):
        assert_right(query, key, value, groups, bias, offset)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("keys", [512, 513, 1301])
@on_every_instruction_set
def test_blocks_of_keys_do_not_show(instruction_set, keys, dtype):
    # More queries than a span of tiles, and not a whole number of tiles.
    query, key, value = make_qkv(1, 220, keys, 2, 24, dtype=dtype)
    groups = make_groups(1, keys, 3)
    # The largest scores come last, so that the pivot rises from block to block.
    key *= torch.linspace(0.5, 4.0, keys)[None, :, None, None].to(dtype)

    with using(instruction_set):
        assert_right(query, key, value, groups, make_layout_bias(groups, 220, heads=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@on_every_instruction_set
def test_products_with_a_map_agree_on_every_instruction_set(instruction_set, dtype):
    query, key, _ = make_qkv(2, 700, 90, 2, 40, dtype=dtype)
    y, x, _ = make_qkv(2, 700, 90, 2, 17, dtype=torch.float32, seed=1)
    exact = AttentionMap(query.double(), key.double(), impl=Impl.REFERENCE)
    plain = AttentionMap(query, key, impl=Impl.REFERENCE)
    actual = AttentionMap(query, key, impl=Impl.CPU)
    rounding = score_rounding(query, key)

    with using(instruction_set), poisoned_buffers():
        products = actual.apply(x), actual.apply(x), actual.apply_transposed(y)

    floor = rounding * x.abs().max().item()
    for product in products[:2]:
        assert_within_budget(product, plain.apply(x), exact.apply(x.double()), floor=floor)
    assert_within_budget(
        products[2],
        plain.apply_transposed(y),
        exact.apply_transposed(y.double()),
        floor=rounding * exact.apply_transposed(y.double().abs()).max().item(),
    )


@pytest.mark.parametrize("removed", [slice(0, 600), slice(500, 1100), slice(0, 1100)])
def test_blocks_without_a_key_add_nothing(removed):
    query, key, value = make_qkv(1, 60, 1100, 2, 16, dtype=torch.float32)
    groups = make_groups(1, 1100, 2)
    offset = torch.zeros(1, 1100)
    offset[:, removed] = -INF

    assert_right(query, key, value, groups, offset=offset)


@pytest.mark.parametrize("bad", [math.nan, INF])
@pytest.mark.parametrize("position", [3, 700])
def test_nan_and_infinity_are_never_hidden_in_a_block(position, bad):
    query, key, value = make_qkv(1, 60, 1100, 2, 16, dtype=torch.bfloat16)
    groups = make_groups(1, 1100, 2)
    key[0, position, 0, 5], value[0, position, 1, 7] = bad, bad
    query[..., 5] = 1.0

    output, lse, probs = attend(query, key, value, groups)

    assert output[:, :, 0].isnan().all()
    assert not lse[:, 0].isfinite().any()
    assert probs[:, 0].isnan().all()
    assert not output[:, :, 1, 7].isfinite().any()
    output[:, :, 1, 7] = 0.0
    assert output[:, :, 1].isfinite().all()


def test_nan_of_any_payload_stays_nan_in_bfloat16():
    bits = torch.tensor([0x7FC0, 0x7FFF, 0x7F81, -1], dtype=torch.int16)  # -1 is 0xFFFF
    query, key, value = make_qkv(1, 5, 4, 1, 4, dtype=torch.bfloat16)
    value[0, 1, 0] = bits.view(torch.bfloat16)

    output, _ = biased_attention(query, key, value, impl=Impl.CPU)

    assert output.isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_hundred_repeats_on_any_number_of_threads_give_the_same_bits(dtype):
    query, key, value = make_qkv(2, 150, 77, 3, 20, dtype=dtype)
    groups = make_groups(2, 77, 3)
    bias = make_layout_bias(groups, 150, heads=3)

    def everything():
        output, lse, probs = attend(query, key, value, groups, bias)
        attention = AttentionMap(query, key, impl=Impl.CPU)
        again = attention.apply_transposed(attention.apply(value))
        return output, lse, probs, again, attention.apply(value)

    threads = torch.get_num_threads()
    try:
        first = everything()
        for repeat in range(100):
            torch.set_num_threads(1 + repeat % 3)
            for got, expected in zip(everything(), first, strict=True):
                assert torch.equal(got, expected)
    finally:
        torch.set_num_threads(threads)


def test_a_query_has_the_same_bits_whatever_stands_beside_it():
    query, key, value = make_qkv(1, 200, 30, 2, 16, dtype=torch.float32)
    whole, lse = biased_attention(query, key, value, impl=Impl.CPU)

    some, some_lse = biased_attention(query[:, 31:150], key, value, impl=Impl.CPU)

    assert torch.equal(some, whole[:, 31:150])
    assert torch.equal(some_lse, lse[..., 31:150])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("head_dim", [15, 16])
def test_columns_may_have_any_stride(head_dim, dtype):
    shape = (1, 50, 20, 2, head_dim)
    query, key, value = make_qkv(*shape, dtype=dtype)
    expected = biased_attention(query, key, value, impl=Impl.CPU)

    strided = [tensor.mT.contiguous().mT for tensor in (query, key, value)]

    assert strided[0].stride(-1) != 1
    actual = biased_attention(*strided, impl=Impl.CPU)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_bias_and_groups_may_have_any_stride():
    query, key, value = make_qkv(2, 50, 20, 2, 16, dtype=torch.float32)
    groups = make_groups(2, 20, 3)
    bias = make_layout_bias(groups, 50, batch=2, heads=2)
    offset = torch.randn(2, 20)
    expected = attend(query, key, value, groups, bias, offset)

    for name in ("labels", "table", "mode", "weight"):
        part = getattr(bias, name)
        object.__setattr__(bias, name, part.transpose(0, -1).contiguous().transpose(0, -1))
    index = KeyGroups.trusted(groups.index.T.contiguous().T, 3, groups.columns)
    actual = attend(query, key, value, index, bias, offset.T.contiguous().T)

    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_elements_beyond_two_to_the_31_are_found():
    # Memory that nobody touches is never mapped, so this takes a few pages.
    far = torch.empty(2**31 + 64, dtype=torch.bfloat16).as_strided((1, 3, 1, 8), (1, 2**30, 8, 1))
    near, key, value = make_qkv(1, 3, 5, 1, 8, dtype=torch.bfloat16)
    far.copy_(near)

    actual = biased_attention(far, key, value, impl=Impl.CPU)

    expected = biased_attention(near, key, value, impl=Impl.CPU)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_no_columns_are_an_empty_product():
    query, key, _ = make_qkv(1, 7, 5, 2, 8, dtype=torch.float32)
    attention = AttentionMap(query, key, impl=Impl.CPU)

    for _ in range(2):
        assert attention.apply(torch.ones(1, 5, 2, 0)).shape == (1, 7, 2, 0)
    assert attention.apply_transposed(torch.ones(1, 7, 2, 0)).shape == (1, 5, 2, 0)
    expected = AttentionMap(query, key, impl=Impl.REFERENCE).lse
    torch.testing.assert_close(attention.lse, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64], ids=["fp16", "fp64"])
def test_other_dtypes_are_eager_s(dtype):
    query, key, value = make_qkv(1, 30, 12, 2, 16, dtype=dtype)
    groups = make_groups(1, 12, 2)
    bias = make_layout_bias(groups, 30)
    ours, theirs = (AttentionMap(query, key, impl=some) for some in (Impl.CPU, Impl.EAGER))
    pairs = [
        *zip(
            attend(query, key, value, groups, bias),
            attend(query, key, value, groups, bias, impl=Impl.EAGER),
            strict=True,
        ),
        (
            token_probs(query, key, groups, impl=Impl.CPU),
            token_probs(query, key, groups, impl=Impl.EAGER),
        ),
        (ours.lse, theirs.lse),
        (ours.apply(value), theirs.apply(value)),
        (ours.apply_transposed(query), theirs.apply_transposed(query)),
        (
            biased_attention(query, key, value, impl=Impl.CPU)[0],
            eager.biased_attention(query, key, value, None, None, 0.25)[0],
        ),
    ]
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_tensor_elsewhere_is_refused():
    query, key, value = (x.to("meta") for x in make_qkv(1, 3, 5, 1, 8, dtype=torch.float32))
    with pytest.raises(DeviceError, match=r"takes tensors on the CPU, got query on meta.*'eager'"):
        cpu.biased_attention(query, key, value, None, None, 1.0)


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(extension, "INSTRUCTION_SETS", ("avx1024",))
    query, key, value = make_qkv(1, 3, 5, 1, 8, dtype=torch.float32)
    with pytest.raises(RuntimeError, match=r"must be one of .*baseline, got avx1024"):
        biased_attention(query, key, value, impl=Impl.CPU)


MEASURE = """
import torch
from numina_kernels import AttentionMap, biased_attention_with_probs
from numina_kernels.testing import make_groups, make_layout_bias, make_qkv

def resident(field):
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024

torch.set_num_threads(2)
query, key, value = make_qkv(1, {queries}, {keys}, 4, 16, dtype=torch.float32)
groups = make_groups(1, {keys}, 2)
bias = make_layout_bias(groups, {queries})
before = resident("VmRSS")
output, lse, probs = biased_attention_with_probs(query, key, value, groups, bias, impl="cpu")
attention = AttentionMap(query, key, impl="cpu")
product = attention.apply(value)
transposed = attention.apply_transposed(product)
results = (output, lse, probs, product, transposed, attention.lse)
print(resident("VmHWM") - before - sum(result.nbytes for result in results))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
@pytest.mark.slow
def test_the_scores_are_never_held_whole():
    queries, keys = 20_000, 1_200
    script = MEASURE.format(queries=queries, keys=keys)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    # One head's scores would take 92 MiB. Packed keys and values are 5 MiB, tiles less than 1 MiB.
    assert int(done.stdout) < 24 << 20
