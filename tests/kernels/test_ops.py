"""What torch demands of an operation: schema, fake, compile, autocast, gradients, strides."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensorMode

from numina_kernels import (
    AttentionMap,
    InferenceOnlyError,
    biased_attention,
    biased_attention_with_probs,
    token_peaks,
    token_probs,
)
from numina_kernels.ops import bias_arguments, group_arguments
from numina_kernels.testing import make_groups, make_layout_bias, make_qkv, strided_like

OPS = torch.ops.numina


def arguments(layout="contiguous", dtype=torch.float32, impl="eager"):
    """Arguments of every operation, by name; of those with a bias also without."""
    tensors = make_qkv(2, 12, 9, 2, 8, dtype=dtype)
    query, key, value = (strided_like(tensor, layout) for tensor in tensors)
    groups = make_groups(1, 9, 2)
    bias = make_layout_bias(groups, 12, batch=2, heads=2)
    offset, lse = torch.randn(1, 9), torch.randn(2, 2, 12)
    group_parts = group_arguments(groups)
    end = (0.5, str(impl))
    return {
        "biased_attention": (query, key, value, *bias_arguments(bias), offset, *end),
        "biased_attention without a bias": (query, key, value, *bias_arguments(None), None, *end),
        "biased_attention_with_probs": (
            query, key, value, *group_parts, *bias_arguments(bias), offset, *end,
        ),
        "token_probs": (query, key, *group_parts, offset, lse, *end),
        "token_probs without lse": (query, key, *group_parts, None, None, *end),
        "token_peaks": (query, key, *group_parts, 3, offset, lse, *end),
        "token_peaks without lse": (query, key, *group_parts, 4, None, None, *end),
        "attention_map_lse": (query, key, *end),
        "attention_map_apply": (query, key, value, *end),
        "attention_map_reapply": (query, key, value, lse, *end),
        "attention_map_apply_transposed": (query, key, query, lse, *end),
    }  # fmt: skip


def operation(name):
    return getattr(OPS, name.split()[0]).default


@pytest.mark.parametrize("name", arguments())
def test_opcheck(impl, name):
    torch.library.opcheck(operation(name), arguments("heads first", impl=impl)[name])


@pytest.mark.parametrize("layout", ["contiguous", "heads first", "sliced", "expanded"])
@pytest.mark.parametrize("name", arguments())
def test_fakes_have_the_strides_and_dtypes_of_the_real_outputs(impl, name, layout):
    real_arguments = arguments(layout, torch.bfloat16, impl)[name]
    real = operation(name)(*real_arguments)
    with FakeTensorMode() as mode:
        fake = operation(name)(
            *(mode.from_tensor(x) if isinstance(x, torch.Tensor) else x for x in real_arguments)
        )

    pairs = [(real, fake)] if isinstance(real, torch.Tensor) else zip(real, fake, strict=True)
    for got, expected in pairs:
        assert got.stride() == expected.stride()
        assert got.shape == expected.shape
        assert got.dtype == expected.dtype


def attend(query, key, value, bias):
    """What a model does around the public contract."""
    output, lse = biased_attention(query * 2, key, value, bias)
    return output + 1, lse


def compiled(function):
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    return torch.compile(function, fullgraph=True, backend=counter), counter


@pytest.mark.parametrize("in_place", [True, False], ids=["filled in place", "a new bias"])
def test_fifty_strengths_compile_at_most_twice(in_place):
    query, key, value = make_qkv(1, 12, 9, 2, 8, dtype=torch.float32)
    bias = make_layout_bias(make_groups(1, 9, 2), 12)
    run, counter = compiled(attend)

    for step in range(50):
        if in_place:
            bias.strength.fill_(step / 50)
        else:
            bias = bias.with_strength(torch.tensor(step / 50))
        actual, expected = run(query, key, value, bias), attend(query, key, value, bias)
        assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))

    assert counter.frame_count <= 2


def test_every_contract_compiles_into_one_graph():
    query, key, value = make_qkv(1, 12, 9, 2, 8, dtype=torch.float32)
    groups = make_groups(1, 9, 2)
    bias = make_layout_bias(groups, 12)

    def everything(query, key, value, strength):
        attention = AttentionMap(query, key)
        transposed = attention.apply_transposed(attention.apply(value))
        probs = token_probs(query, key, groups, lse=attention.lse)
        peaks = token_peaks(query, key, groups, 3, lse=attention.lse)
        stronger = bias.with_strength(strength * 2)
        return (
            transposed,
            probs,
            *peaks,
            *biased_attention_with_probs(query, key, value, groups, stronger),
        )

    run, counter = compiled(everything)
    strength = torch.tensor(0.4)
    actual = run(query, key, value, strength)
    expected = everything(query, key, value, strength)

    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))
    assert counter.frame_count == 1


def test_other_lengths_compile_once_more_at_most():
    run, counter = compiled(attend)
    for queries, keys in ((12, 9), (20, 15), (31, 18), (44, 27)):
        query, key, value = make_qkv(1, queries, keys, 2, 8, dtype=torch.float32)
        bias = make_layout_bias(make_groups(1, keys, 2), queries)
        torch.testing.assert_close(run(query, key, value, bias), attend(query, key, value, bias))

    assert counter.frame_count <= 2


def test_autocast_casts_the_tensors_and_keeps_the_statistics():
    query, key, value = make_qkv(1, 12, 9, 2, 8, dtype=torch.float32)
    bias = make_layout_bias(make_groups(1, 9, 2), 12)
    rounded = [tensor.bfloat16() for tensor in (query, key, value)]
    expected = biased_attention(*rounded, bias)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, lse = biased_attention(query, key.bfloat16(), value, bias)
        run, _ = compiled(lambda *tensors: biased_attention(*tensors, bias))
        compiled_output, compiled_lse = run(query, key, value)

    assert output.dtype == compiled_output.dtype == torch.bfloat16
    assert lse.dtype == compiled_lse.dtype == torch.float32
    assert torch.equal(output, expected[0])
    assert torch.equal(lse, expected[1])
    assert torch.equal(compiled_output, expected[0])


def test_autocast_leaves_float64_and_map_columns_alone():
    query, key, value = make_qkv(1, 12, 9, 2, 8, dtype=torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, lse = biased_attention(query, key, value)
        product = AttentionMap(query.float(), key.float()).apply(value.float())

    assert output.dtype == lse.dtype == torch.float64
    assert product.dtype == torch.float32


def differentiable():
    """Every argument that can require a gradient, of every operation."""
    return [
        (name, position)
        for name, inputs in arguments().items()
        for position, argument in enumerate(inputs)
        if isinstance(argument, torch.Tensor) and argument.is_floating_point()
    ]


@pytest.mark.parametrize(("name", "position"), differentiable())
def test_inputs_that_require_a_gradient_are_refused(name, position):
    inputs = list(arguments()[name])
    inputs[position] = inputs[position].clone().requires_grad_()

    with pytest.raises(InferenceOnlyError, match=r"is inference only.*torch\.no_grad"):
        operation(name)(*inputs)
    with torch.no_grad():
        operation(name)(*inputs)
    with torch.inference_mode():
        operation(name)(*inputs)


def test_a_gradient_for_the_strength_is_refused_too():
    query, key, value = make_qkv(1, 12, 9, 2, 8, dtype=torch.float32)
    bias = make_layout_bias(make_groups(1, 9, 2), 12)
    with pytest.raises(InferenceOnlyError):
        biased_attention(query, key, value, bias.with_strength(torch.tensor(1.0).requires_grad_()))


def test_more_than_two_to_the_31_elements_have_the_right_form():
    query = torch.empty(1, 2**19, 40, 128, dtype=torch.bfloat16, device="meta")
    key = torch.empty(1, 512, 40, 128, dtype=torch.bfloat16, device="meta")

    output, lse = biased_attention(query, key, key)
    transposed = AttentionMap(query, key).apply_transposed(query)

    assert output.numel() > 2**31
    assert output.shape == query.shape
    assert output.stride() == query.stride()
    assert lse.shape == (1, 40, 2**19)
    assert transposed.shape == key.shape
