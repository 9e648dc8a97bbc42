"""The score bias of a layout: one byte per query and noun, and a small table."""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from .errors import DeviceError, LayoutError
from .key_groups import KeyGroups


class BiasMode(IntEnum):
    """What a class does to the scores of its noun."""

    ADD = 0
    OVERWRITE = 1
    LIFT = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class LayoutBias:
    """Bias on the scores of noun keys, piecewise constant over queries.

    Query ``q`` and key ``k`` of noun ``g = groups.index[k] >= 0`` have the scaled score ``s``
    (``key_offset`` already added) and the class ``r = labels[g, q]``. The biased score is

    =============  ==========================================  ==================================
    ``mode``       biased score                                source
    =============  ==========================================  ==================================
    ``ADD``        ``s + strength * table``                    arXiv 2604.08546: removal, and
                                                               addition from a disc
    ``OVERWRITE``  ``strength * table``                        arXiv 2604.08546: addition from a
                                                               template
    ``LIFT``       ``s + strength * weight * max(table - s,    ours: towards the template's score,
                   0)``                                        never below what was
    =============  ==========================================  ==================================

    with ``mode[g, r]``, ``table[h, g, r]`` and ``weight[g, r]``. Scores of other keys stay as they
    are. A strength of exactly 0 switches the bias off: the result has the very bits of
    ``bias=None``. A score that is not finite stays what it is in every mode: a key at ``-inf`` is
    absent and is not brought back, and NaN and ``+inf`` make the row NaN with a bias as they do
    without one.

    A video of 75 600 queries with three nouns needs 227 kB, where the dense bfloat16 bias of 512
    keys needs 74 MiB. Every leading ``B`` may be 1 and then holds for the whole batch. All values
    are checked here, which waits for the device, so build it outside of compiled code; operations
    read shapes and devices only.

    Attributes:
        labels: Class of each noun and query, ``[B|1, G, Q]`` int8, 0..R-1.
        groups: Noun of every key.
        table: Score in nats, ``[B|1, H|1, G, R]`` float32. ``-inf`` removes; NaN and ``+inf``
            are refused.
        mode: A ``BiasMode`` for each noun and class, ``[B|1, G, R]`` int8.
        weight: Share of the way to the target, ``[B|1, G, R]`` float32, not negative, unitless.
            Only ``LIFT`` reads it; needed where a class lifts.
        key_offset: Added to the scores of each key before the bias and whatever the strength,
            ``[B|1, K]`` float32, in nats; see ``fold_padding``. ``-inf`` removes a key.
        strength: Guidance strength, 0-dim float32, finite and not negative, unitless. Operations
            read it on the device, so it may be changed in place from step to step.

    Raises:
        LayoutError: If a shape, a dtype or a value is not as above.
        DeviceError: If the tensors live on different devices.
    """

    labels: Tensor
    groups: KeyGroups
    table: Tensor
    mode: Tensor
    strength: Tensor
    weight: Tensor | None = None
    key_offset: Tensor | None = None

    def __post_init__(self) -> None:
        _check_forms(self)
        _check_values(self)

    def with_strength(self, strength: Tensor) -> "LayoutBias":
        """The same bias, sharing every tensor, at another strength. Checks nothing."""
        parts = (self.labels, self.groups, self.table, self.mode)
        return LayoutBias.trusted(*parts, strength, self.weight, self.key_offset)

    def to(self, device: torch.device | str) -> "LayoutBias":
        """The same bias on ``device``; nothing is checked again."""
        return LayoutBias.trusted(
            self.labels.to(device),
            self.groups.to(device),
            self.table.to(device),
            self.mode.to(device),
            self.strength.to(device),
            None if self.weight is None else self.weight.to(device),
            None if self.key_offset is None else self.key_offset.to(device),
        )

    def materialize(self, scores: Tensor) -> Tensor:
        """Biased scores ``[B, H, Q, K]`` of scaled ``scores``. For oracles and tests only."""
        if self.key_offset is not None:
            scores = scores + self.key_offset[:, None, None].to(scores.dtype)
        batch, heads, queries, keys = scores.shape
        if self.groups.count == 0:
            return scores
        device = scores.device
        b = torch.arange(batch, device=device)[:, None, None, None]
        h = torch.arange(heads, device=device)[None, :, None, None]
        q = torch.arange(queries, device=device)[None, None, :, None]
        noun = self.groups.index.expand(batch, keys)[:, None, None].long()  # [B, 1, 1, K]
        g = noun.clamp_min(0)
        r = self.labels.expand(batch, -1, -1)[b, g, q].long()  # [B, 1, Q, K]
        table = self.table.expand(batch, heads, -1, -1)[b, h, g, r].to(scores.dtype)
        mode = self.mode.expand(batch, -1, -1)[b, g, r]
        strength = self.strength.to(scores.dtype)

        biased = scores + strength * table
        biased = torch.where(mode == BiasMode.OVERWRITE, strength * table, biased)
        if self.weight is not None:
            weight = self.weight.expand(batch, -1, -1)[b, g, r].to(scores.dtype)
            lifted = scores + strength * weight * (table - scores).clamp_min(0)
            biased = torch.where(mode == BiasMode.LIFT, lifted, biased)
        touched = (noun >= 0) & (strength != 0) & scores.isfinite()
        return torch.where(touched, biased, scores)

    @classmethod
    def trusted(
        cls,
        labels: Tensor,
        groups: KeyGroups,
        table: Tensor,
        mode: Tensor,
        strength: Tensor,
        weight: Tensor | None = None,
        key_offset: Tensor | None = None,
    ) -> "LayoutBias":
        """A bias from parts that were already checked. Reads no value, so it never waits."""
        bias = object.__new__(cls)
        object.__setattr__(bias, "labels", labels)
        object.__setattr__(bias, "groups", groups)
        object.__setattr__(bias, "table", table)
        object.__setattr__(bias, "mode", mode)
        object.__setattr__(bias, "strength", strength)
        object.__setattr__(bias, "weight", weight)
        object.__setattr__(bias, "key_offset", key_offset)
        return bias


def _check_forms(bias: LayoutBias) -> None:
    nouns, classes = bias.groups.count, bias.table.shape[-1] if bias.table.ndim else 0
    expected = {
        "labels": ("[B|1, G, Q] int8", torch.int8, (None, nouns, None)),
        "table": ("[B|1, H|1, G, R] float32", torch.float32, (None, None, nouns, classes)),
        "mode": ("[B|1, G, R] int8", torch.int8, (None, nouns, classes)),
        "weight": ("[B|1, G, R] float32", torch.float32, (None, nouns, classes)),
        "key_offset": ("[B|1, K] float32", torch.float32, (None, bias.groups.index.shape[1])),
        "strength": ("0-dim float32", torch.float32, ()),
    }
    for name, (form, dtype, shape) in expected.items():
        tensor = getattr(bias, name)
        if tensor is None and name in ("weight", "key_offset"):
            continue
        if not isinstance(tensor, Tensor):
            raise LayoutError(f"{name} must be a tensor {form}, got {type(tensor).__name__}")
        fits = tensor.ndim == len(shape) and all(
            size is None or size == got for size, got in zip(shape, tensor.shape, strict=True)
        )
        if not fits or tensor.dtype != dtype:
            raise LayoutError(
                f"{name} must be {form} with G = {nouns}, R = {classes}, "
                f"K = {bias.groups.index.shape[1]}, got {tuple(tensor.shape)} {tensor.dtype}"
            )
        if tensor.device != bias.groups.index.device:
            raise DeviceError(
                f"{name} is on {tensor.device}, but groups on {bias.groups.index.device}"
            )


def _check_values(bias: LayoutBias) -> None:
    classes = bias.table.shape[-1]
    # As int8, 128 classes would be -128.
    labels = bias.labels.short()
    faults = [
        ("labels", f"hold 0..{classes - 1}", (labels < 0) | (labels >= classes)),
        ("table", "not hold NaN or +inf", ~(bias.table < torch.inf)),
        ("mode", "hold values of BiasMode", (bias.mode < 0) | (bias.mode > max(BiasMode))),
        ("strength", "be finite and not negative", ~_is_finite_positive(bias.strength)),
    ]
    if bias.weight is not None:
        faults.append(("weight", "be finite and not negative", ~_is_finite_positive(bias.weight)))
    else:
        faults.append(("mode", "not hold LIFT without a weight", bias.mode == BiasMode.LIFT))
    if bias.key_offset is not None:
        faults.append(("key_offset", "not hold NaN or +inf", ~(bias.key_offset < torch.inf)))
    # One transfer for all of them: each would wait for the device on its own.
    found = torch.stack([fault.any() for _, _, fault in faults]).tolist()
    for (name, demand, fault), is_found in zip(faults, found, strict=True):
        if is_found:
            first = getattr(bias, name)[fault].flatten()[0].item()
            raise LayoutError(f"{name} must {demand}, got {first}")


def _is_finite_positive(tensor: Tensor) -> Tensor:
    return (tensor >= 0) & (tensor < torch.inf)
