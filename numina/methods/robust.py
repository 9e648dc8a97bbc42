"""The robust preset: whole tracks, the whole layout, strengths from the layer's own log-odds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from numina.attention.capture import Capture, CaptureSpec
from numina.guidance.erasure import ErasureSpec
from numina.guidance.grafting import GraftSpec
from numina.guidance.schedule import GuidanceSchedule
from numina.guidance.whole_layout import ClassTargets, RobustPlan
from numina.identify.clean_latent import LatentRegions, latent_layout
from numina.identify.heads import consensus_focus, map_agreement
from numina.identify.regions import AttentionRegions, attention_layout
from numina.identify.tracks import TrackSpec, link_tracks
from numina.layout import Layout, LayoutEdit
from numina.methods.head_maps import pictures_of
from numina.methods.method import Sighting
from numina.refine.placement import PlacementSpec
from numina.refine.presence import PresenceSpec, is_present
from numina.refine.quotas import Parts, in_place
from numina.refine.refinement import refine_layout

Evidence = Literal["clean-latent", "attention"]


@dataclass(frozen=True)
class Robust:
    """Identify over all layers, refine whole tracks, enforce the whole layout.

    Attributes:
        evidence: What instances are told from: parts of the predicted clean latent, or the
            cross-attention of the nouns alone.
        verdict: Noise level of the look of restart mode.
        looks: Noise levels of the looks of one-pass mode.
        memory: Let a later look know where instances are, seen before or guided to, when it names
            the parts of the clean latent. Attention may have moved on by then, above all that to a
            crowd of one noun.
        heads: How many heads the report names: those that agree most with the consensus.
        presence: When an instance is there in a frame: a count must hold in all of them. None
            asks for the number of instances alone.
        targets: What each patch shall reach, by what it is to a noun.
        erasure: How removed instances are erased from the predicted clean latent; None leaves
            their removal to the attention alone.
        grafting: How added instances are grafted from the likeness of others in restart mode; None
            leaves them to the attention alone. In one pass guidance sets in too late for it.
    """

    evidence: Evidence = "clean-latent"
    verdict: float = 0.67
    looks: tuple[float, ...] = (0.87, 0.8, 0.73)
    memory: bool = True
    heads: int = 6
    capture: CaptureSpec = CaptureSpec()
    attention: AttentionRegions = AttentionRegions()
    latent: LatentRegions = LatentRegions(attended=0.15)
    tracks: TrackSpec = TrackSpec()
    placement: PlacementSpec = PlacementSpec()
    presence: PresenceSpec | None = PresenceSpec()
    targets: ClassTargets = ClassTargets()
    erasure: ErasureSpec | None = ErasureSpec()
    grafting: GraftSpec | None = GraftSpec()
    schedule: GuidanceSchedule = GuidanceSchedule()

    def __post_init__(self) -> None:
        if self.evidence not in ("clean-latent", "attention"):
            raise ValueError(
                f'evidence must be "clean-latent" or "attention", got {self.evidence!r}'
            )

    @property
    def name(self) -> str:
        return "robust" if self.evidence == "clean-latent" else "robust-attention"

    def identify(self, capture: Capture, expected: Layout | None = None) -> Sighting | None:
        found = self.regions(capture, expected if self.memory else None)
        if found is None:
            return None
        regions, focus = found
        tracks = link_tracks(regions, self.tracks)
        return Sighting(tracks.layout, focus, *_believed(capture, self.heads), tracks)

    def regions(
        self, capture: Capture, expected: Layout | None = None
    ) -> tuple[Layout, NDArray[np.float32]] | None:
        """Regions of every frame, not linked, and where each noun attends, ``[G, F, Y, X]``.

        None where the capture shows no usable layout.
        """
        maps = capture.probs.flatten(0, 1)  # [L * H, G, F, Y, X]
        if not bool(torch.isfinite(maps).all()) or float(maps.amax() - maps.amin()) == 0:
            return None
        focus = consensus_focus(maps).numpy().astype(np.float32)
        if self.evidence == "clean-latent" and capture.clean is not None:
            clean = capture.clean.numpy()
            return latent_layout(clean, focus, capture.grid, self.latent, expected), focus
        return attention_layout(focus, capture.grid, self.attention), focus

    def is_right(self, sighting: Sighting, counts: Sequence[int]) -> bool:
        layout, tracks = sighting.layout, sighting.tracks
        if any(layout.count(noun) != count for noun, count in enumerate(counts)):
            return False
        return tracks is None or self.presence is None or is_present(tracks, self.presence)

    def refine(
        self, sighting: Sighting, counts: Sequence[int], names: Sequence[str] | None = None
    ) -> LayoutEdit:
        return self.refine_in_place(sighting, counts, (), names)

    def is_in_place(self, layout: Layout, counts: Sequence[int], places: Sequence[Parts]) -> bool:
        return in_place(layout, counts, places)

    def refine_in_place(
        self,
        sighting: Sighting,
        counts: Sequence[int],
        places: Sequence[Parts],
        names: Sequence[str] | None = None,
    ) -> LayoutEdit:
        found = sighting.layout if sighting.tracks is None else sighting.tracks
        # Focus is in deviations around its mean; weights must not be negative.
        attended = sighting.focus - sighting.focus.min()
        return refine_layout(
            found,
            counts,
            self.placement,
            focus=attended,
            names=names,
            places=places,
            presence=self.presence,
        )

    def plan(self, edits: Sequence[LayoutEdit | None], num_nouns: int) -> RobustPlan:
        return RobustPlan(edits, num_nouns, self.targets)

    def strength(self, noise: float, progress: float) -> float:
        return self.schedule.strength(noise, progress)


def _believed(capture: Capture, top: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The heads that agree most on where the first noun is: names, and maps at mid-video."""
    maps = capture.probs.flatten(0, 1)
    agreement = map_agreement(maps)[:, 0]
    heads = capture.probs.shape[1]
    best = agreement.topk(min(top, len(agreement))).indices.tolist()
    names = tuple(f"layer {capture.layers[i // heads]}, head {i % heads}" for i in best)
    return names, pictures_of(maps[best, 0, capture.grid.frames // 2].float())
