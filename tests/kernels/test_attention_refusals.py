"""What does not fit is refused before anything runs, with the shapes and what is allowed."""

import pytest
import torch

from numina_kernels import (
    DeviceError,
    DTypeError,
    LayoutError,
    ShapeError,
    biased_attention,
    biased_attention_with_probs,
)
from numina_kernels.testing import make_groups, make_layout_bias, make_qkv


def qkv(**changes):
    query, key, value = make_qkv(2, 6, 5, 3, 8, dtype=torch.float32)
    return {"query": query, "key": key, "value": value} | changes


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"query": torch.zeros(6, 3, 8)}, ShapeError, r"query must be \[B, Q, H, D\].*\(6, 3, 8\)"),
        ({"query": torch.zeros(2, 6, 3, 0)}, ShapeError, "with D > 0"),
        ({"key": torch.zeros(2, 5, 3, 16)}, ShapeError, r"key must be \[2, K, 3, 8\].*3, 16\)"),
        ({"key": torch.zeros(1, 5, 3, 8)}, ShapeError, r"key must be \[2, K, 3, 8\]"),
        ({"key": torch.zeros(2, 5, 4, 8)}, ShapeError, r"key must be \[2, K, 3, 8\]"),
        ({"value": torch.zeros(2, 4, 3, 8)}, ShapeError, r"value must be \[2, 5, 3, 8\]"),
        ({"key": torch.zeros(2, 5, 3, 8).half()}, DTypeError, "key must be torch.float32.*allowed"),
        ({"value": torch.zeros(2, 5, 3, 8).double()}, DTypeError, "value must be torch.float32"),
        ({"query": torch.zeros(2, 6, 3, 8).int()}, DTypeError, "one of float16, bfloat16, float32"),
        ({"key": torch.zeros(2, 5, 3, 8, device="meta")}, DeviceError, "key is on meta, but query"),
        ({"key_offset": torch.zeros(1, 4)}, LayoutError, r"key_offset must be \[1 or 2, 5\]"),
        ({"key_offset": torch.zeros(1, 5).half()}, LayoutError, "key_offset must be float32"),
        ({"key_offset": torch.zeros(1, 5, device="meta")}, DeviceError, "key_offset is on meta"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        biased_attention(**qkv(**changes))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queries": 7}, r"bias.labels must be \[1 or 2, 2, 6\].*got \(1, 2, 7\)"),
        ({"keys": 4}, r"bias.groups.index must be \[1 or 2, 5\].*got \(1, 4\)"),
        ({"heads": 2}, "bias.table must have 1 or 3 heads"),
        ({"batch": 3}, r"bias.labels must be \[1 or 2, 2, 6\].*got \(3, 2, 6\)"),
    ],
)
def test_a_bias_for_another_call_is_refused(settings, message):
    settings = {"queries": 6, "keys": 5} | settings
    groups = make_groups(1, settings.pop("keys"), 2)
    with pytest.raises(LayoutError, match=message):
        biased_attention(**qkv(), bias=make_layout_bias(groups, **settings))


def test_groups_for_another_text_are_refused():
    with pytest.raises(LayoutError, match=r"groups.index must be \[1 or 2, 5\]"):
        biased_attention_with_probs(**qkv(), groups=make_groups(1, 6, 2))
    with pytest.raises(DeviceError, match="groups is on meta"):
        biased_attention_with_probs(**qkv(), groups=make_groups(1, 5, 2).to("meta"))


def test_a_bias_on_another_device_is_refused():
    bias = make_layout_bias(make_groups(1, 5, 2), 6).to("meta")
    with pytest.raises(DeviceError, match="bias is on meta, but query on cpu"):
        biased_attention(**qkv(), bias=bias)


@pytest.mark.parametrize(
    ("strength", "error", "message"),
    [
        (torch.tensor(1.0).double(), LayoutError, r"must be 0-dim float32, got \(\) torch.float64"),
        (torch.ones(1), LayoutError, r"bias.strength must be 0-dim float32, got \(1,\)"),
        (torch.tensor(1.0, device="meta"), DeviceError, "bias.strength is on meta, but query on"),
    ],
    ids=["dtype", "shape", "device"],
)
def test_a_strength_that_no_kernel_can_read_is_refused(strength, error, message):
    bias = make_layout_bias(make_groups(1, 5, 2), 6).with_strength(strength)
    with pytest.raises(error, match=message):
        biased_attention(**qkv(), bias=bias)


def test_no_value_is_read_before_the_operation_runs():
    # Nothing can be read there.
    meta = {name: tensor.to("meta") for name, tensor in qkv().items()}
    groups = make_groups(1, 5, 2)
    bias = make_layout_bias(groups, 6, key_offset=torch.zeros(1, 5))

    output, lse, probs = biased_attention_with_probs(
        **meta, groups=groups.to("meta"), bias=bias.to("meta")
    )

    assert output.is_meta
    assert lse.is_meta
    assert probs.shape == (2, 3, 2, 6)


def test_two_offsets_are_refused():
    offset = torch.zeros(1, 5)
    bias = make_layout_bias(make_groups(1, 5, 2), 6, key_offset=offset)
    with pytest.raises(LayoutError, match="key_offset is given twice"):
        biased_attention(**qkv(), bias=bias, key_offset=offset)
