"""The attention that a model itself computes, and the masks that it has."""

from dataclasses import dataclass
from typing import Any

from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor
from torch.nn import functional

from numina.errors import UnsupportedModelError


@dataclass(frozen=True, eq=False)
class DispatchedAttention:
    """Through diffusers' choice of backends.

    Attributes:
        backend: The backend of the processor; None for the global choice.
        mask: Added to the scores, ``[B, H, Q, K]`` or broadcast to it.
        parallel: diffusers' ``ParallelConfig`` where the ranks attend together; None where each of
            them holds all the keys.
    """

    backend: Any
    mask: Tensor | None = None
    parallel: Any = None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return dispatch_attention_fn(
            query,
            key,
            value,
            attn_mask=_first_rows(self.mask, query),
            dropout_p=0.0,
            is_causal=False,
            backend=self.backend,
            parallel_config=self.parallel,
        )


@dataclass(frozen=True, eq=False)
class TorchAttention:
    """Through torch's ``scaled_dot_product_attention``.

    Attributes:
        mask: Added to the scores, ``[B, H, Q, K]`` or broadcast to it.
    """

    mask: Tensor | None = None

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        mask = _first_rows(self.mask, query)
        output = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return output.transpose(1, 2)


def mask_of_keys(attn: Any, mask: Tensor | None, keys: Tensor, layer: int) -> Tensor | None:
    """The mask of a layer as its stock processor adds it to the scores, ``[B, H, 1, K]``.

    Args:
        attn: The attention module.
        mask: What the module was given, ``[B, 1, K]``.
        keys: Hidden states that keys are made of, ``[B, K, C]``.
        layer: Index of the block.

    Raises:
        UnsupportedModelError: If it masks every query differently.
    """
    if mask is None:
        return None
    if mask.shape[1] != 1:
        raise UnsupportedModelError(
            f"layer {layer} got an attention_mask {tuple(mask.shape)} with rows of its own for the "
            "queries, which guidance could not follow; pass a mask of keys, [B, 1, K]"
        )
    rows, length = keys.shape[:2]
    prepared: Tensor = attn.prepare_attention_mask(mask, length, rows)
    return prepared.view(rows, attn.heads, 1, length)


def key_offset(mask: Tensor | None) -> Tensor | None:
    """What a mask ``[B, H, 1, K]``, the same for all heads, adds to each key, for a `Moment`."""
    return None if mask is None else mask[:, 0, 0].float()


def _first_rows(mask: Tensor | None, query: Tensor) -> Tensor | None:
    """The mask of the rows at hand: unguided ones may be called on alone, and they come first."""
    return None if mask is None else mask[: len(query)]
