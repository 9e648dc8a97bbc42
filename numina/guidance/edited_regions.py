"""The paper's score bias: edited patches only, and a per-head target from a template's queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from numina.attend import Moment
from numina.errors import LayoutError
from numina.guidance.whole_layout import common_grid
from numina.layout import LayoutEdit
from numina.share import AllPatches, Share
from numina_kernels.key_groups import KeyGroups
from numina_kernels.layout_bias import BiasMode, LayoutBias
from numina_kernels.padding import FoldedKeys

# Classes of a patch for a noun; each template that the noun copies follows from 3 on.
UNTOUCHED, ERASED, FROM_DISC, FIRST_TEMPLATE = range(4)
# Classes are int8, so a noun can copy 125 templates: one in each frame of 125 latent frames.
MAX_CLASSES = 128


@dataclass(frozen=True)
class PaperStrengths:
    """Constants of the paper's bias (arXiv 2604.08546, section 4.3), in nats at ``delta = 1``.

    Attributes:
        removal: Added on removed patches: "a large negative constant".
        boost: ``k``, added on patches of an instance that stands for a disc.
    """

    removal: float = -10.0
    boost: float = 0.8

    def __post_init__(self) -> None:
        if not self.removal <= 0 or not self.boost >= 0:
            raise ValueError(f"removal must not be positive nor boost negative, got {self}")


@dataclass(frozen=True, eq=False)
class PaperClasses:
    """The edits of a batch as the paper's guidance needs them; built once per plan.

    Attributes:
        labels: ``UNTOUCHED``, ``ERASED``, ``FROM_DISC`` or a template's class, for each noun and
            patch, ``[B, G, Q]`` int8.
        mode: ``BiasMode`` of each class, ``[1, G, R]`` int8.
        cells: Batch row, noun and class of each of ``T`` templates, ``[3, T]`` int64.
        patches: Batch row and patch of every patch of every template, ``[2, P]`` int64.
        average: Weight of each patch in the mean over its template ``R``, ``[T, P]`` float32.
    """

    labels: Tensor
    mode: Tensor
    cells: Tensor
    patches: Tensor
    average: Tensor

    @classmethod
    def of(cls, edits: Sequence[LayoutEdit | None], num_nouns: int) -> "PaperClasses":
        """Enumerate the classes of every noun.

        Each frame has its own template region ``R``, so each pair of template and frame is a
        class. A template that is not there in a frame is looked up in the whole video.

        Args:
            edits: The edit of each batch row; None leaves a row alone.
            num_nouns: ``G``, the most that a row has.

        Raises:
            LayoutError: If no row has an edit, they cover different grids, or a noun has more
                templates than int8 can tell apart.
        """
        labels = np.zeros((len(edits), num_nouns, *common_grid(edits)), np.int8)
        cells: list[tuple[int, int, int]] = []
        regions: list[NDArray[np.int64]] = []
        for row, edit in enumerate(edits):
            if edit is None:
                continue
            for noun in range(num_nouns):
                for code, region in enumerate(_classify(edit, noun, labels[row, noun]), 3):
                    cells.append((row, noun, code))
                    regions.append(region)
        owner = np.repeat(np.arange(len(regions)), [len(region) for region in regions])
        rows = np.array([row for row, _, _ in cells], np.int64)
        average = np.zeros((len(regions), len(owner)), np.float32)
        average[owner, np.arange(len(owner))] = [1 / len(regions[t]) for t in owner]
        mode = np.full(
            (1, num_nouns, 1 + int(labels.max(initial=FROM_DISC))), BiasMode.ADD, np.int8
        )
        mode[..., FIRST_TEMPLATE:] = BiasMode.OVERWRITE
        flat = np.concatenate([np.zeros(0, np.int64), *regions])
        return cls(
            labels=torch.from_numpy(labels).flatten(2),
            mode=torch.from_numpy(mode),
            cells=torch.tensor(cells, dtype=torch.int64).reshape(-1, 3).T,
            patches=torch.from_numpy(np.stack([rows[owner], flat])),
            average=torch.from_numpy(average),
        )

    def to(self, device: torch.device) -> "PaperClasses":
        """The same classes on ``device``."""
        return PaperClasses(
            self.labels.to(device),
            self.mode.to(device),
            self.cells.to(device),
            self.patches.to(device),
            self.average.to(device),
        )


def paper_bias(
    classes: PaperClasses,
    query: Tensor,
    key: Tensor,
    groups: KeyGroups,
    strength: Tensor,
    strengths: PaperStrengths | None = None,
    *,
    key_offset: Tensor | None = None,
    scale: float | None = None,
    share: Share = AllPatches(),
) -> LayoutBias:
    """Bias the edited patches of one layer as the paper does (arXiv 2604.08546, section 4.3).

    ============================  ==================================================
    patches of a noun             score ``S_pre`` of each of its tokens becomes
    ============================  ==================================================
    removed                       ``S_pre - 10 * delta(t)``
    added, from a disc            ``S_pre + k * delta(t)``
    added, from a region ``R``    ``delta(t) * mean over R of S_pre``, in each head
    all others                    ``S_pre``
    ============================  ==================================================

    The mean of ``S_pre`` over ``R`` and the noun's tokens is ``(mean of q over R) . (mean of k
    over the tokens) * scale``: exact, and no map is computed for it.

    Args:
        classes: The edits.
        query: ``[B, Q, H, D]``, of the patches of ``share``.
        key: ``[B, K, H, D]``.
        groups: Noun of every key.
        strength: ``delta(t)``, 0-dim float32, unitless.
        strengths: Constants.
        key_offset: Of folded padding, ``[B|1, K]`` float32, in nats; noun tokens have none.
        scale: Score multiplier. Defaults to ``D ** -0.5``.
        share: The patches that this process attends from.

    Returns:
        Bias with a table ``[B, H, G, R]``. Its values are not checked again, so that nothing
        waits for the device.

    Raises:
        LayoutError: If the batch or the number of patches is not that of the edits.
    """
    strengths = strengths or PaperStrengths()
    labels = share.own(classes.labels)
    batch, num_nouns, num_queries = labels.shape
    if query.shape[:2] != (batch, num_queries):
        raise LayoutError(
            f"the edits are of {batch} videos of {num_queries} patches, got queries "
            f"{tuple(query.shape)}"
        )
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    constants = query.new_zeros(classes.mode.shape[-1], dtype=torch.float32)
    constants[ERASED] = strengths.removal
    constants[FROM_DISC] = strengths.boost
    table = constants.repeat(batch, query.shape[2], num_nouns, 1)  # [B, H, G, R]
    rows, nouns, codes = classes.cells
    source = share.at(query, *classes.patches).float()  # [P, H, D]
    mean_query = torch.einsum("tp,phd->thd", classes.average, source)
    mean_key = _mean_keys(key, groups)[rows, nouns]  # [T, H, D]
    table[rows, :, nouns, codes] = (mean_query * mean_key).sum(-1) * scale
    return LayoutBias.trusted(
        labels=labels,
        groups=groups,
        table=table,
        mode=classes.mode,
        strength=strength,
        key_offset=key_offset,
    )


class PaperPlan:
    """A batch of edits as guidance for every layer, ``paper_bias`` at each.

    Args:
        edits: The edit of each batch row; None leaves a row alone.
        num_nouns: ``G``, the most that a row has.
        strengths: Constants.

    Raises:
        LayoutError: As ``PaperClasses.of``.
    """

    def __init__(
        self,
        edits: Sequence[LayoutEdit | None],
        num_nouns: int,
        strengths: PaperStrengths | None = None,
    ) -> None:
        self._classes = PaperClasses.of(edits, num_nouns)
        self._strengths = strengths or PaperStrengths()

    def bias(
        self,
        query: Tensor,
        text: FoldedKeys,
        groups: KeyGroups,
        strength: Tensor,
        moment: Moment,
    ) -> LayoutBias:
        """The bias of one layer at one moment; ``strength`` is ``delta(t)``."""
        if self._classes.labels.device != query.device:
            # Once per run: a copy in every layer would wait for the host each time.
            self._classes = self._classes.to(query.device)
        return paper_bias(
            self._classes,
            query,
            text.key,
            groups,
            strength,
            self._strengths,
            key_offset=text.key_offset,
            share=moment.share,
        )


def _classify(edit: LayoutEdit, noun: int, labels: NDArray[np.int8]) -> list[NDArray[np.int64]]:
    """Write the classes of one noun's patches into ``labels [F, Y, X]``; return its templates.

    Returns:
        Patches (frame-major token indices) of each template region, in the order of the classes
        from ``FIRST_TEMPLATE`` on.
    """
    gone = [label for label in edit.removed if edit.before.nouns[label - 1] == noun]
    labels[np.isin(edit.before.labels, gone)] = ERASED
    codes: dict[tuple[int, int], int] = {}
    regions: list[NDArray[np.int64]] = []
    for label, template in zip(edit.added, edit.templates, strict=True):
        if edit.after.nouns[label - 1] != noun:
            continue
        masks = edit.after.labels == label
        if template is None:
            labels[masks] = FROM_DISC
            continue
        source = edit.before.labels == template
        for frame in np.flatnonzero(masks.any((1, 2))):
            if (int(frame), template) not in codes:
                region = np.zeros_like(source)
                region[frame] = source[frame]
                regions.append(np.flatnonzero(region if region.any() else source))
                codes[int(frame), template] = FIRST_TEMPLATE + len(regions) - 1
                if codes[int(frame), template] >= MAX_CLASSES:
                    raise LayoutError(
                        f"noun {noun} copies more than {MAX_CLASSES - FIRST_TEMPLATE} templates, "
                        "counted once for each frame; that is more than a class can tell apart"
                    )
            labels[frame][masks[frame]] = codes[int(frame), template]
    return regions


def _mean_keys(key: Tensor, groups: KeyGroups) -> Tensor:
    """Mean key over the tokens of each noun, ``[B, G, H, D]`` float32; zero without a token."""
    nouns = torch.arange(groups.count, device=key.device)
    member = (groups.index[:, None] == nouns[:, None]).float()  # [B|1, G, K]
    member = member / member.sum(-1, keepdim=True).clamp_min(1)
    return torch.einsum("bgk,bkhd->bghd", member.expand(len(key), -1, -1), key.float())
