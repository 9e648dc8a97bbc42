import math
from dataclasses import replace

import pytest
import torch

from numina_kernels import BiasMode, DeviceError, KeyGroups, LayoutBias, LayoutError
from numina_kernels.testing import make_groups, make_layout_bias


def parts(**changes):
    """Two nouns, three classes (one for each mode), four queries, five keys."""
    return {
        "labels": torch.tensor([[[0, 1, 2, 0], [2, 2, 1, 0]]], dtype=torch.int8),
        "groups": KeyGroups.from_positions([[1], [3, 4]], keys=5),
        "table": torch.tensor([[[[1.0, 2.0, 3.0], [-4.0, 5.0, -6.0]]]]),
        "mode": torch.tensor([[[0, 1, 2], [0, 1, 2]]], dtype=torch.int8),
        "weight": torch.full((1, 2, 3), 0.5),
        "strength": torch.tensor(0.75),
    } | changes


def by_hand(bias, scores):
    """The table of the docstring of LayoutBias, one score at a time, in Python floats."""
    result = scores.clone()
    batch, heads, queries, keys = scores.shape
    strength = bias.strength.item()

    def pick(tensor, b, *rest):
        return tensor[(min(b, tensor.shape[0] - 1), *rest)].item()

    for b in range(batch):
        for k in range(keys):
            offset = 0.0 if bias.key_offset is None else pick(bias.key_offset, b, k)
            g = pick(bias.groups.index, b, k)
            for h in range(heads):
                for q in range(queries):
                    s = scores[b, h, q, k].item() + offset
                    if g >= 0 and strength != 0.0 and math.isfinite(s):
                        r = pick(bias.labels, b, g, q)
                        table = pick(bias.table, b, min(h, bias.table.shape[1] - 1), g, r)
                        mode = pick(bias.mode, b, g, r)
                        if mode == BiasMode.ADD:
                            s += strength * table
                        elif mode == BiasMode.OVERWRITE:
                            s = strength * table
                        else:
                            s += strength * pick(bias.weight, b, g, r) * max(table - s, 0.0)
                    result[b, h, q, k] = s
    return result


@pytest.mark.parametrize("strength", [0.0, 0.75])
@pytest.mark.parametrize("offset", [None, [0.0, -math.inf, 2.0, -math.inf, 1.0]])
def test_materialized_scores_follow_the_published_table(strength, offset):
    offset = None if offset is None else torch.tensor([offset])
    bias = LayoutBias(**parts(strength=torch.tensor(strength), key_offset=offset))
    scores = torch.randn(2, 2, 4, 5, dtype=torch.float64, generator=torch.manual_seed(0))

    torch.testing.assert_close(bias.materialize(scores), by_hand(bias, scores))


def test_scores_that_are_not_finite_stay_what_they_are():
    groups = make_groups(1, 9, 3)
    bias = make_layout_bias(groups, 40, heads=2)
    scores = torch.zeros(1, 2, 40, 9)
    for odd in (math.inf, -math.inf, math.nan):
        scores[:, 1] = odd
        biased = bias.materialize(scores)
        torch.testing.assert_close(biased[:, 1], scores[:, 1], equal_nan=True)
        assert not torch.equal(biased[:, 0], scores[:, 0])


def test_every_part_may_differ_between_batch_rows_and_heads():
    groups = make_groups(3, 7, 2)
    bias = make_layout_bias(groups, 5, batch=3, heads=2)
    scores = torch.randn(3, 2, 5, 7, dtype=torch.float64, generator=torch.manual_seed(0))

    torch.testing.assert_close(bias.materialize(scores), by_hand(bias, scores))


def test_lifting_never_lowers_a_score():
    groups = make_groups(1, 9, 3)
    bias = make_layout_bias(groups, 40, modes=(BiasMode.LIFT,), strength=1.5)
    scores = 4 * torch.randn(1, 1, 40, 9, generator=torch.manual_seed(0))

    assert (bias.materialize(scores) >= scores).all()


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": torch.zeros(1, 2, 4)}, r"labels must be \[B\|1, G, Q\] int8"),
        ({"labels": torch.zeros(2, 4, dtype=torch.int8)}, r"labels must be .* got \(2, 4\)"),
        ({"labels": torch.zeros(1, 3, 4, dtype=torch.int8)}, "G = 2"),
        ({"labels": torch.full((1, 2, 4), 3, dtype=torch.int8)}, "hold 0..2, got 3"),
        ({"labels": torch.full((1, 2, 4), -1, dtype=torch.int8)}, "hold 0..2, got -1"),
        ({"table": torch.full((1, 1, 2, 3), NAN)}, "table must not hold NaN or .inf, got nan"),
        ({"table": torch.full((1, 1, 2, 3), INF)}, "table must not hold NaN or .inf, got inf"),
        ({"table": torch.zeros(1, 1, 2, 3).half()}, "table must be .* float32"),
        ({"table": torch.zeros(1, 1, 2, 4)}, r"mode must be .* R = 4"),
        ({"table": torch.zeros(2, 3)}, r"table must be .* got \(2, 3\)"),
        ({"table": torch.tensor(0.0)}, r"table must be .* got \(\)"),
        ({"mode": torch.full((1, 2, 3), 3, dtype=torch.int8)}, "BiasMode, got 3"),
        ({"mode": torch.full((1, 2, 3), -1, dtype=torch.int8)}, "BiasMode, got -1"),
        ({"weight": None}, "mode must not hold LIFT without a weight"),
        ({"weight": torch.full((1, 2, 3), -0.1)}, "weight must be finite and not negative"),
        ({"weight": torch.full((1, 2, 3), INF)}, "weight must be finite and not negative"),
        ({"key_offset": torch.full((1, 5), NAN)}, "key_offset must not hold NaN"),
        ({"key_offset": torch.zeros(1, 4)}, r"key_offset must be .* K = 5, got \(1, 4\)"),
        ({"strength": torch.tensor(-1.0)}, "strength must be finite and not negative, got -1.0"),
        ({"strength": torch.tensor(NAN)}, "strength must be finite"),
        ({"strength": torch.ones(1)}, "strength must be 0-dim float32"),
        ({"strength": 1.0}, "strength must be a tensor 0-dim float32, got float"),
        ({"strength": None}, "strength must be a tensor"),
    ],
)
def test_parts_without_meaning_are_refused_when_built(changes, message):
    with pytest.raises(LayoutError, match=message):
        LayoutBias(**parts(**changes))


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("labels", 3, "labels must hold 0..2, got 3"),
        ("table", NAN, "table must not hold NaN or .inf, got nan"),
        ("table", INF, "table must not hold NaN or .inf, got inf"),
        ("mode", 3, "mode must hold values of BiasMode, got 3"),
        ("weight", NAN, "weight must be finite and not negative, got nan"),
        ("key_offset", INF, "key_offset must not hold NaN or .inf, got inf"),
    ],
)
def test_one_number_without_meaning_is_enough(name, bad, message):
    given = parts(key_offset=torch.zeros(1, 5))
    given[name].view(-1)[-1] = bad
    with pytest.raises(LayoutError, match=message):
        LayoutBias(**given)


def test_parts_on_two_devices_are_refused():
    with pytest.raises(DeviceError, match="table is on meta, but groups on cpu"):
        LayoutBias(**parts(table=torch.zeros(1, 1, 2, 3, device="meta")))


def test_a_byte_tells_128_classes_apart():
    groups = make_groups(1, 5, 2)
    assert make_layout_bias(groups, 4, classes=128).table.shape[-1] == 128


def test_minus_infinity_is_a_score():
    bias = LayoutBias(**parts(table=torch.full((1, 1, 2, 3), -INF)))

    assert bias.table.isneginf().all()


def test_another_strength_shares_every_tensor():
    bias = LayoutBias(**parts())
    other = bias.with_strength(torch.tensor(0.1))

    assert other.strength.item() == pytest.approx(0.1)
    assert bias.strength.item() == 0.75
    for name in ("labels", "groups", "table", "mode", "weight", "key_offset"):
        assert getattr(other, name) is getattr(bias, name)


def test_moving_takes_every_part_along():
    moved = LayoutBias(**parts(key_offset=torch.zeros(1, 5))).to("meta")

    names = ("labels", "table", "mode", "weight", "strength", "key_offset")
    assert all(getattr(moved, name).is_meta for name in names)
    assert moved.groups.index.is_meta
    assert moved.groups.columns.is_meta
    assert LayoutBias(**parts()).to("cpu").key_offset is None


def test_a_bias_can_be_changed_only_by_building_another():
    bias = LayoutBias(**parts())

    with pytest.raises(AttributeError):
        bias.table = bias.table * 2
    assert replace(bias, table=bias.table * 2).table[0, 0, 0, 0] == 2.0
