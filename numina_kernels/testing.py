"""Inputs, error budgets and poisoned buffers, shared by tests and benchmarks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from .key_groups import NO_NOUN, KeyGroups
from .layout_bias import BiasMode, LayoutBias


def make_qkv(
    batch: int,
    queries: int,
    keys: int,
    heads: int,
    head_dim: int,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Unit-normal ``query``, ``key``, ``value`` in the ``[B, S, H, D]`` layout."""
    generator = torch.Generator(device).manual_seed(seed)

    def draw(length: int) -> Tensor:
        shape = (batch, length, heads, head_dim)
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    return draw(queries), draw(keys), draw(keys)


def make_groups(
    batch: int, keys: int, nouns: int, *, device: torch.device | str = "cpu", seed: int = 0
) -> KeyGroups:
    """About one key in three belongs to a noun; some nouns may have none."""
    generator = torch.Generator(device).manual_seed(seed)
    index = torch.randint(
        -2 * nouns, max(nouns, 1), (batch, keys), generator=generator, device=device
    )
    return KeyGroups(index.clamp_min(NO_NOUN).clamp_max(nouns - 1).to(torch.int8), nouns)


def make_layout_bias(
    groups: KeyGroups,
    queries: int,
    *,
    batch: int = 1,
    heads: int = 1,
    classes: int = 4,
    modes: tuple[BiasMode, ...] = tuple(BiasMode),
    strength: float = 1.0,
    key_offset: Tensor | None = None,
    seed: int = 0,
) -> LayoutBias:
    """A random class for every noun and query, a few nats for every class."""
    device = groups.index.device
    generator = torch.Generator(device).manual_seed(seed)
    shape = (batch, groups.count, classes)
    chosen = torch.randint(len(modes), shape, generator=generator, device=device)
    table = torch.randn((batch, heads, *shape[1:]), generator=generator, device=device)
    labels = torch.randint(
        classes, (batch, groups.count, queries), generator=generator, device=device
    )
    return LayoutBias(
        labels=labels.to(torch.int8),
        groups=groups,
        table=3 * table,
        mode=torch.tensor(modes, dtype=torch.int8, device=device)[chosen],
        weight=torch.rand(shape, generator=generator, device=device),
        strength=torch.tensor(strength, device=device),
        key_offset=key_offset,
    )


def strided_like(tensor: Tensor, layout: str) -> Tensor:
    """The same numbers ``[B, S, H, D]`` in another memory layout.

    Args:
        tensor: What the result equals, but for ``"expanded"``: there all heads are the first.
        layout: ``"contiguous"``; ``"heads first"``, dense but permuted; ``"sliced"``, with a gap
            after every row and a storage offset; ``"expanded"``, with a head stride of 0.
    """
    if layout == "contiguous":
        return tensor.contiguous()
    if layout == "heads first":
        return tensor.transpose(1, 2).contiguous().transpose(1, 2)
    if layout == "sliced":
        wide = tensor.new_full((*tensor.shape[:-1], tensor.shape[-1] + 5), float("nan"))
        return wide[..., 3:-2].copy_(tensor)
    if layout == "expanded":
        return tensor[:, :, :1].expand_as(tensor)
    raise ValueError(f"unknown layout {layout!r}")


def assert_within_budget(
    actual: Tensor, eager: Tensor, exact: Tensor, *, slack: float = 2.0, floor: float = 0.0
) -> float:
    """Bound the error of ``actual`` by ``slack`` times the error plain torch makes.

    Args:
        actual: Result under test.
        eager: The oracle in the dtype of ``actual``.
        exact: The oracle in float64, on the same (already rounded) inputs, so that no tolerance
            is ever chosen by hand. Where it is infinite, ``actual`` must be equal.
        slack: How often the error of ``eager``, and one rounding of the largest result, may occur.
        floor: One rounding of the sums on the way, absolute; see ``score_rounding``. Needed for a
            handful of results, where plain torch may be right by luck.

    Returns:
        The share of the budget that the error took, 0..1.
    """
    error, budget = error_and_budget(actual, eager, exact, slack=slack, floor=floor)
    assert error <= budget, f"error {error:.2e} exceeds the budget {budget:.2e}"
    return error / budget if error else 0.0


def error_and_budget(
    actual: Tensor, eager: Tensor, exact: Tensor, *, slack: float = 2.0, floor: float = 0.0
) -> tuple[float, float]:
    """Largest error of ``actual``, and what ``assert_within_budget`` allows it.

    Raises:
        AssertionError: If there is no error to speak of: another shape, another infinity, NaN.
    """
    assert actual.shape == exact.shape, f"shape {tuple(actual.shape)}, not {tuple(exact.shape)}"
    finite = exact.isfinite()
    assert torch.equal(actual[~finite].double(), exact[~finite]), "another infinity"
    eps = torch.finfo(actual.dtype).eps
    actual, eager, exact = actual[finite].double(), eager[finite].double(), exact[finite]
    assert actual.isfinite().all(), "NaN or infinity where a number belongs"
    if not exact.numel():
        return 0.0, 0.0
    rounding = eps * exact.abs().max() + floor
    budget = slack * ((eager - exact).abs().max() + rounding)
    return (actual - exact).abs().max().item(), budget.item()


def score_rounding(
    query: Tensor,
    key: Tensor,
    bias: LayoutBias | None = None,
    key_offset: Tensor | None = None,
    scale: float | None = None,
) -> float:
    """One float32 rounding of the largest sum that a score passes through, in nats."""
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    products = query.double().abs().transpose(1, 2) @ key.double().abs().permute(0, 2, 3, 1)
    largest = products.max().item() * scale
    for addend in (key_offset, None if bias is None else bias.strength * bias.table):
        if addend is not None and addend.isfinite().any():
            largest += addend[addend.isfinite()].abs().max().item()
    return torch.finfo(torch.float32).eps * largest


@contextmanager
def poisoned_buffers() -> Iterator[None]:
    """Fill fresh float buffers with NaN, so that a kernel that forgets to write one is caught."""
    with ExitStack() as stack:
        for owner, name in _UNINITIALISED:
            poisoned = _poisoned(getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, poisoned))
        yield


_UNINITIALISED = [
    (torch, "empty"),
    (torch, "empty_like"),
    (torch, "empty_strided"),
    (Tensor, "new_empty"),
    (Tensor, "new_empty_strided"),
]


def _poisoned(allocate: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def allocated(*args: Any, **kwargs: Any) -> Tensor:
        tensor = allocate(*args, **kwargs)
        return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

    return allocated
