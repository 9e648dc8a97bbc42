"""The paper preset: NUMINA as published (arXiv 2604.08546), for comparison."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from numina.attention.capture import Capture, CaptureSpec
from numina.guidance.edited_regions import PaperPlan, PaperStrengths
from numina.guidance.schedule import GuidanceSchedule
from numina.identify.heads import HeadWeights, peak_heads, score_heads
from numina.identify.regions import PaperRegions, paper_layout
from numina.layout import Layout, LayoutEdit
from numina.methods.head_maps import pictures_of
from numina.methods.method import Sighting
from numina.refine.frame_by_frame import refine_frames
from numina.refine.placement import PaperPlacement


@dataclass(frozen=True)
class Paper:
    """Identify at one layer, refine every frame alone, guide the edited regions only.

    Attributes:
        capture: The layer l* = 15 of 30, self- and cross-attention.
        verdict: Noise level of step t* = 20 of 50 at Wan's flow shift of 5.
        instance_patches: Typical patches of an instance, to which regions and placement are
            scaled; None for the published sizes.
    """

    capture: CaptureSpec = CaptureSpec(cross=(0.5,), features=0.5)
    verdict: float = 0.8824
    instance_patches: float | None = None
    weights: HeadWeights = HeadWeights.PAPER
    regions: PaperRegions = PaperRegions()
    placement: PaperPlacement = PaperPlacement()
    strengths: PaperStrengths = PaperStrengths()
    schedule: GuidanceSchedule = GuidanceSchedule(rule="paper")
    looks: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return "paper" if self.instance_patches is None else "paper-scaled"

    @property
    def erasure(self) -> None:
        """The published method guides the attention alone."""
        return None

    @property
    def grafting(self) -> None:
        """The published method guides the attention alone."""
        return None

    def identify(self, capture: Capture, expected: Layout | None = None) -> Sighting | None:
        probs = capture.probs[-1]  # [H, G, F, Y, X]
        if capture.features is None or not bool(torch.isfinite(probs).all()):
            return None
        focus_heads = peak_heads(probs)
        focus = torch.stack([probs[head, noun] for noun, head in enumerate(focus_heads.tolist())])
        best = score_heads(capture.features, capture.grid, self.weights).argmax(dim=1)  # [F]
        features = capture.features[torch.arange(len(best)), best]  # [F, N, 3]
        regions = self.regions
        if self.instance_patches is not None:
            regions = regions.scaled_to(capture.grid, self.instance_patches)
        layout = paper_layout(features.numpy(), focus.numpy(), capture.grid, regions)
        return Sighting(
            layout,
            focus.numpy().astype(np.float32),
            heads=_names(capture, best, focus_heads),
            # The first component of the best head in every frame.
            head_maps=pictures_of(features[..., 0].unflatten(1, capture.grid.shape[1:])),
        )

    def is_right(self, sighting: Sighting, counts: Sequence[int]) -> bool:
        return all(
            bool((sighting.layout.count_per_frame(noun) == count).all())
            for noun, count in enumerate(counts)
        )

    def refine(
        self, sighting: Sighting, counts: Sequence[int], names: Sequence[str] | None = None
    ) -> LayoutEdit:
        placement = self.placement
        if self.instance_patches is not None:
            placement = replace(placement, radius=round((self.instance_patches / np.pi) ** 0.5))
        return refine_frames(sighting.layout, counts, placement)

    def plan(self, edits: Sequence[LayoutEdit | None], num_nouns: int) -> PaperPlan:
        return PaperPlan(edits, num_nouns, self.strengths)

    def strength(self, noise: float, progress: float) -> float:
        return self.schedule.strength(noise, progress)


def _names(capture: Capture, best: Tensor, focus_heads: Tensor) -> tuple[str, ...]:
    layer, cross = capture.feature_layer, capture.layers[-1]
    return (
        *(
            f"frame {f}: layer {layer}, self-attention head {h}"
            for f, h in enumerate(best.tolist())
        ),
        *(f"noun {g}: layer {cross}, head {h}" for g, h in enumerate(focus_heads.tolist())),
    )
