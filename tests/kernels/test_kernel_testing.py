"""The helpers that judge the kernels can say no."""

import pytest
import torch

from numina_kernels.testing import assert_within_budget, make_qkv, poisoned_buffers, strided_like

EXACT = torch.linspace(0.5, 1.0, 11, dtype=torch.float64)


def test_an_error_of_the_size_of_rounding_is_accepted():
    share = assert_within_budget(EXACT.half(), EXACT.half(), EXACT)

    # Of twice the error of plain torch, which made the same one, and a rounding.
    assert 0.0 < share < 0.5
    assert assert_within_budget(EXACT, EXACT, EXACT) == 0.0


@pytest.mark.parametrize(
    "wrong",
    [EXACT.half() + 0.01, torch.full((11,), float("nan")), torch.full((11,), float("inf"))],
    ids=["off", "nan", "inf"],
)
def test_a_larger_error_is_not(wrong):
    with pytest.raises(AssertionError):
        assert_within_budget(wrong.half(), EXACT.half(), EXACT)


def test_another_shape_or_infinity_is_not():
    exact = torch.tensor([1.0, -torch.inf], dtype=torch.float64)
    assert_within_budget(exact.float(), exact.float(), exact)
    with pytest.raises(AssertionError, match="another infinity"):
        assert_within_budget(torch.ones(2), exact.float(), exact)
    with pytest.raises(AssertionError, match="shape"):
        assert_within_budget(torch.ones(3), exact.float(), exact)


def test_fresh_buffers_are_poisoned_and_only_those():
    with poisoned_buffers():
        assert torch.empty(3).isnan().all()
        assert torch.ones(3).new_empty(2).isnan().all()
        assert torch.empty_like(torch.ones(3)).isnan().all()
        assert (torch.zeros(3) == 0).all()
        torch.empty(3, dtype=torch.int8)


@pytest.mark.parametrize("layout", ["contiguous", "heads first", "sliced"])
def test_another_layout_holds_the_same_numbers(layout):
    query, _, _ = make_qkv(2, 5, 4, 3, 8, dtype=torch.float32)
    other = strided_like(query, layout)

    assert torch.equal(other, query)
    assert (other.stride() == query.stride()) == (layout == "contiguous")


def test_an_expanded_layout_repeats_the_first_head():
    query, _, _ = make_qkv(2, 5, 4, 3, 8, dtype=torch.float32)

    assert strided_like(query, "expanded").stride(2) == 0
    with pytest.raises(ValueError, match="unknown layout"):
        strided_like(query, "diagonal")
