"""The bias of a layout on the columns of its nouns: the only scores it can change."""

import torch
from torch import Tensor

from ..layout_bias import BiasMode, LayoutBias
from .units import LOG2E


class ColumnBias:
    """``biased = add + keep * s + lift * max(target - s, 0)`` with coefficients for each class.

    One formula serves the three modes, and a strength of 0 gives ``0 + 1 * s + 0``, which is ``s``
    to the bit. Coefficients are ``[B|1, H|1, N, R]`` and classes ``[B|1, N, Q]`` for the ``N`` keys
    that have a noun; scores are in units of ``ln 2``, and those that are not finite stay.
    """

    def __init__(self, bias: LayoutBias, heads: slice, dtype: torch.dtype) -> None:
        self._columns = bias.groups.columns
        noun = bias.groups.index[:, self._columns].long()  # [B|1, N]
        owned = (noun >= 0)[:, None, :, None]
        noun.clamp_min_(0)

        self._classes = _of_noun(bias.labels, noun)  # [B|1, N, Q]
        table = bias.table if bias.table.shape[1] == 1 else bias.table[:, heads]
        table = _of_noun(table.transpose(1, 2), noun).transpose(1, 2).to(dtype) * LOG2E
        strength = bias.strength.to(dtype)
        mode = torch.where(owned & (strength != 0), _of_noun(bias.mode, noun)[:, None], -1)

        moves = (mode == BiasMode.ADD) | (mode == BiasMode.OVERWRITE)
        self._add = torch.where(moves, strength * table, 0.0)
        self._keep = (mode != BiasMode.OVERWRITE).to(dtype)
        self._lift: Tensor | None = None
        if bias.weight is not None:
            weight = _of_noun(bias.weight, noun)[:, None].to(dtype)
            self._lift = torch.where(mode == BiasMode.LIFT, strength * weight, 0.0)
            self._target = table

    def apply_(self, scores: Tensor, rows: slice) -> None:
        """Bias ``scores [B, H, K, T]`` of the queries ``rows`` in place."""
        classes = self._classes[:, None, :, rows].long()  # [B|1, 1, N, T]
        own = scores.index_select(-2, self._columns)  # [B, H, N, T]
        biased = torch.addcmul(_look_up(self._add, classes), _look_up(self._keep, classes), own)
        if self._lift is not None:
            short_of = (_look_up(self._target, classes) - own).clamp_min_(0)
            biased.addcmul_(_look_up(self._lift, classes), short_of)
        # The formula itself would overwrite an infinity by NaN, or bring an absent key back.
        biased = torch.where(own.abs() < torch.inf, biased, own)
        scores.index_copy_(-2, self._columns, biased)


def _of_noun(parts: Tensor, noun: Tensor) -> Tensor:
    """Take ``parts [B|1, G, ...]`` at ``noun [B|1, N]``: ``[B|1, N, ...]``."""
    if noun.shape[0] == 1:  # One text for the batch, a quarter of the time.
        return parts.index_select(1, noun[0])
    batch = max(parts.shape[0], noun.shape[0])
    b = torch.arange(batch, device=noun.device)[:, None]
    return parts.expand(batch, *parts.shape[1:])[b, noun]


def _look_up(coefficients: Tensor, classes: Tensor) -> Tensor:
    """Coefficient of each key and query, ``[B|1, H|1, N, T]``."""
    batch, heads = max(coefficients.shape[0], classes.shape[0]), coefficients.shape[1]
    coefficients = coefficients.expand(batch, -1, -1, -1)
    return coefficients.gather(-1, classes.expand(batch, heads, -1, -1))
