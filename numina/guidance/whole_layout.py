"""The score bias that enforces a whole layout: every patch has a class for every noun."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from numina.attend import Moment
from numina.errors import LayoutError
from numina.layout import LayoutEdit, RegionClass
from numina_kernels.key_groups import KeyGroups
from numina_kernels.layout_bias import BiasMode, LayoutBias
from numina_kernels.padding import FoldedKeys
from numina_kernels.token_probs import token_probs

# A probability in float32 is never taken closer to 0 or 1: log-odds stay within +-11.5 nats.
PROBABILITY_FLOOR = 1e-5
# Stands in for a patch's class where the patch was drawn for another noun.
NOT_SAMPLED = -1


@dataclass(frozen=True)
class ClassTargets:
    """How much of its attention a patch shall give to a noun, by what it is to the noun.

    A bias of ``b`` nats on all tokens of a noun multiplies the odds of its probability by
    ``exp(b)``. With ``m`` a median log-odds of the layer, ``logit(p) - m`` lifts the median patch
    to ``p``.

    Attributes:
        kept: Probability for patches of kept instances.
        added: Probability for patches of added instances.
        elsewhere: Bias in nats for patches without an instance of the noun, not positive.
        removed: Bias in nats for patches of removed instances, not positive.
        ceiling: Largest boost in nats.
        samples: Patches of each noun, inside and outside, that the medians are taken over.
    """

    kept: float = 0.6
    added: float = 0.97
    elsewhere: float = -3.0
    removed: float = -17.5
    ceiling: float = 12.0
    samples: int = 256

    def __post_init__(self) -> None:
        if not 0 < self.kept < 1 or not 0 < self.added < 1:
            raise ValueError(
                f"kept and added must be probabilities between 0 and 1, got {self.kept} and "
                f"{self.added}"
            )
        if not -math.inf < self.elsewhere <= 0 or not -math.inf < self.removed <= 0:
            raise ValueError(
                f"elsewhere and removed must be finite and not positive, got {self.elsewhere} "
                f"and {self.removed}"
            )
        if not 0 <= self.ceiling < math.inf:
            raise ValueError(f"ceiling must be finite and not negative, got {self.ceiling}")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}")


def stack_classes(edits: Sequence[LayoutEdit | None], num_nouns: int) -> tuple[Tensor, Tensor]:
    """Classes of every patch for every noun of a batch of videos.

    Args:
        edits: The edit of each batch row; None leaves a row alone.
        num_nouns: ``G``, the most that a row has.

    Returns:
        ``RegionClass`` of each patch ``[B, G, Q]`` int8, and which rows have an edit, ``[B]``
        bool.

    Raises:
        LayoutError: If no row has an edit, or they cover different grids.
    """
    grid = common_grid(edits)
    free = np.zeros((num_nouns, *grid), np.int8)
    rows = [free if edit is None else edit.classes(num_nouns) for edit in edits]
    classes = torch.from_numpy(np.stack(rows)).flatten(2)
    return classes, torch.tensor([edit is not None for edit in edits])


def common_grid(edits: Sequence[LayoutEdit | None]) -> tuple[int, ...]:
    """``(F, Y, X)`` of the edits of a batch.

    Raises:
        LayoutError: If there is no edit, or they cover different grids.
    """
    grids = {edit.after.labels.shape for edit in edits if edit is not None}
    if len(grids) != 1:
        raise LayoutError(f"the edits of a batch must cover one grid, got {sorted(grids)}")
    return grids.pop()


def sample_patches(classes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Draw the patches that are enough to measure a layer's log-odds on.

    Sorting the probabilities of every patch and head costs more than the attention itself at 720p;
    a median over 256 patches and all heads is as good.

    Args:
        classes: ``RegionClass`` of each patch, ``[B, G, Q]`` int8.
        size: Patches drawn for each noun from its kept instances, and as many from its
            surroundings; always the same ones.

    Returns:
        Patches ``[B, S]`` int64, and their classes for the nouns that they were drawn for, else
        ``NOT_SAMPLED``, ``[B, G, S]`` int8: what ``log_odds`` needs beside the probabilities of
        these queries.
    """
    rows = [_drawn(row, size) for row in classes]
    width = max([1, *(len(places) for places, _ in rows)])
    sample = classes.new_zeros((len(rows), width), dtype=torch.int64)
    sampled = classes.new_full((*classes.shape[:2], width), NOT_SAMPLED)
    for row, (places, own) in enumerate(rows):
        sample[row, : len(places)] = places
        sampled[row, :, : len(places)] = own
    return sample, sampled


def log_odds(probs: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Median log-odds of each noun inside its kept instances and outside all of its instances.

    The median is taken over heads and patches together; of an even number it is the lower one.
    Patches of added and removed instances count for neither. Without a kept patch, ``inside`` is
    ``outside``; without a patch outside, ``outside`` is the median over all patches. Reads no
    value on the host.

    Args:
        probs: Probability of each noun, ``[B, H, G, Q]``.
        classes: ``RegionClass`` of each patch, or ``NOT_SAMPLED``, ``[B|1, G, Q]`` int8.

    Returns:
        ``inside`` and ``outside``, ``[B, G]`` float32, in nats.

    Raises:
        LayoutError: If the shapes do not fit together.
    """
    batch, _, nouns, queries = probs.shape
    if classes.shape not in ((batch, nouns, queries), (1, nouns, queries)):
        raise LayoutError(
            f"classes must be [B, G, Q] to probabilities {tuple(probs.shape)}, got "
            f"{tuple(classes.shape)}"
        )
    classes = classes.expand(batch, -1, -1)
    odds = probs.float().logit(PROBABILITY_FLOOR).transpose(1, 2)  # [B, G, H, Q]
    outside = _masked_median(odds, classes == RegionClass.ELSEWHERE)
    outside = torch.where(outside.isinf(), _masked_median(odds, classes == classes), outside)
    inside = _masked_median(odds, classes == RegionClass.KEPT)
    return torch.where(inside.isinf(), outside, inside), outside


def robust_bias(
    classes: Tensor,
    groups: KeyGroups,
    inside: Tensor,
    outside: Tensor,
    targets: ClassTargets,
    strength: Tensor,
    *,
    key_offset: Tensor | None = None,
    guided: Tensor | None = None,
) -> LayoutBias:
    """Enforce a whole layout: a boost on instances, a suppression everywhere else.

    ``b_kept = logit(kept) - m_in`` and ``b_added = logit(added) - m_out``, both within 0 and the
    ceiling, so that no instance is pushed below what it was. (The paper, arXiv 2604.08546, biases
    the edited patches only.)

    Args:
        classes: ``RegionClass`` of each patch, ``[B|1, G, Q]`` int8.
        groups: Noun of every key.
        inside: ``m_in`` of ``log_odds``, ``[B, G]`` float32, in nats.
        outside: ``m_out`` of ``log_odds``, ``[B, G]`` float32, in nats.
        targets: What each class is to reach.
        strength: Guidance strength, 0-dim float32, unitless.
        key_offset: Of folded padding, ``[B|1, K]`` float32, in nats.
        guided: Rows of the batch with a plan, ``[B]`` bool; the others get a bias of 0.

    Returns:
        A bias that is added, table ``[B, 1, G, 4]``. Finite whatever the log-odds are, and not
        checked again, so that nothing waits for the device.
    """
    boosts = torch.stack([_logit(targets.kept) - inside, _logit(targets.added) - outside], dim=-1)
    boosts = boosts.nan_to_num(nan=0.0).clamp(0.0, targets.ceiling)
    table = torch.stack(
        [
            torch.full_like(inside, targets.elsewhere),
            boosts[..., 0],
            boosts[..., 1],
            torch.full_like(inside, targets.removed),
        ],
        dim=-1,
    )  # [B, G, 4], in the order of RegionClass
    if guided is not None:
        table = table * guided[:, None, None]
    return LayoutBias.trusted(
        labels=classes,
        groups=groups,
        table=table[:, None],
        mode=torch.full_like(table, BiasMode.ADD, dtype=torch.int8),
        strength=strength,
        key_offset=key_offset,
    )


class RobustPlan:
    """A batch of edits as guidance for every layer, ``robust_bias`` at each.

    Args:
        edits: The edit of each batch row; None leaves a row alone.
        num_nouns: ``G``, the most that a row has.
        targets: What each class is to reach.

    Raises:
        LayoutError: If no row has an edit, or they cover different grids.
    """

    def __init__(
        self,
        edits: Sequence[LayoutEdit | None],
        num_nouns: int,
        targets: ClassTargets | None = None,
    ) -> None:
        self._targets = targets or ClassTargets()
        self._classes, self._guided = stack_classes(edits, num_nouns)
        self._sample, self._sampled = sample_patches(self._classes, self._targets.samples)
        self._rows = torch.arange(len(edits))[:, None]

    def bias(
        self,
        query: Tensor,
        text: FoldedKeys,
        groups: KeyGroups,
        strength: Tensor,
        moment: Moment,
    ) -> LayoutBias:
        """The bias of one layer at one moment, measured on that layer's unbiased scores.

        Args:
            query: ``[B, Q, H, D]``.
            text: Keys, folded or not.
            groups: Noun of every key of ``text``.
            strength: 0-dim float32, unitless.
            moment: Where the run stands.

        Raises:
            LayoutError: If the batch or the number of patches is not that of the edits.
        """
        self._move(query.device)
        classes = moment.share.own(self._classes)
        batch, _, num_queries = classes.shape
        if query.shape[:2] != (batch, num_queries):
            raise LayoutError(
                f"the edits are of {batch} videos of {num_queries} patches, got queries "
                f"{tuple(query.shape)}"
            )
        sample = moment.share.at(query, self._rows, self._sample)
        probs = token_probs(sample, text.key, groups, key_offset=text.key_offset)
        inside, outside = log_odds(probs, self._sampled)
        return robust_bias(
            classes,
            groups,
            inside,
            outside,
            self._targets,
            strength,
            key_offset=text.key_offset,
            guided=self._guided,
        )

    def _move(self, device: torch.device) -> None:
        # Once per run: a copy in every layer would wait for the host each time.
        if self._classes.device != device:
            self._classes, self._guided = self._classes.to(device), self._guided.to(device)
            self._sample, self._sampled = self._sample.to(device), self._sampled.to(device)
            self._rows = self._rows.to(device)


def _drawn(classes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Patches of one row's sample ``[S]``, and their classes ``[G, S]``."""
    generator = torch.Generator().manual_seed(0)
    places = [classes.new_zeros(0, dtype=torch.int64)]
    owns = [classes.new_zeros((len(classes), 0))]
    for noun, own in enumerate(classes):
        for code in (RegionClass.ELSEWHERE, RegionClass.KEPT):
            found = (own == code).nonzero()[:, 0]
            # A fixed stride could see a single column of patches.
            order = torch.randperm(len(found), generator=generator)[:size].sort().values
            places.append(found[order.to(found.device)])
            column = classes.new_full((len(classes), len(order)), NOT_SAMPLED)
            column[noun] = code
            owns.append(column)
    return torch.cat(places), torch.cat(owns, dim=1)


def _masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Lower median of ``values [B, G, H, Q]`` where ``mask [B, G, Q]``; ``inf`` where nowhere."""
    ranked = torch.where(mask[:, :, None], values, torch.inf).flatten(2).sort(dim=-1).values
    last = (mask.sum(-1) * values.shape[2] - 1).clamp_min(0)
    return ranked.gather(-1, (last // 2)[..., None])[..., 0]


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
