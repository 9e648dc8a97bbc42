"""The robust preset with one setting replaced at a time, to be compared with the preset itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numina.attention.capture import Capture, CaptureSpec
from numina.guidance.schedule import GuidanceSchedule
from numina.guidance.whole_layout import PROBABILITY_FLOOR, ClassTargets
from numina.identify.heads import consensus_focus
from numina.layout import Layout, LayoutEdit
from numina.methods.method import Mode, Sighting
from numina.methods.robust import Robust
from numina.refine.frame_by_frame import refine_frames
from numina.refine.placement import PaperPlacement

PRESET = Robust()
# The names under which the two modes of the preset are evaluated; those of variants begin so.
_PRESETS: Mapping[Mode, str] = MappingProxyType({"restart": "robust", "one-pass": "one-pass"})


@dataclass(frozen=True)
class Variant:
    """The preset, but for one setting.

    Attributes:
        name: To be evaluated under: that of the preset in this mode, a colon and what is replaced.
        setting: What the preset does.
        instead: What is done in its place.
        method: Does it.
        mode: In which the method is run.
        rounds: Guided runs in restart mode; the preset makes one.
    """

    name: str
    setting: str
    instead: str
    method: Robust
    mode: Mode
    rounds: int = 1


@dataclass(frozen=True)
class FrameByFrame(Robust):
    """The robust preset with every frame judged and refined alone, as published.

    Attributes:
        disc: What stands in where a frame has no instance to copy; its radius is a sprite's.
    """

    disc: PaperPlacement = PaperPlacement(radius=2)

    def identify(self, capture: Capture, expected: Layout | None = None) -> Sighting | None:
        found = self.regions(capture, expected)
        return None if found is None else Sighting(*found)

    def is_right(self, sighting: Sighting, counts: Sequence[int]) -> bool:
        return all(
            bool((sighting.layout.count_per_frame(noun) == count).all())
            for noun, count in enumerate(counts)
        )

    def refine(
        self, sighting: Sighting, counts: Sequence[int], names: Sequence[str] | None = None
    ) -> LayoutEdit:
        return refine_frames(sighting.layout, counts, self.disc)


@dataclass(frozen=True)
class ClearestLayer(Robust):
    """The robust preset with one of its layers believed: that whose heads are most of one mind.

    A layer's score is the size of the mean of its heads' maps, each of which has a deviation of
    its square root: heads that contradict each other, or see little, leave a small mean.
    """

    def regions(
        self, capture: Capture, expected: Layout | None = None
    ) -> tuple[Layout, NDArray[np.float32]] | None:
        scores = [float(consensus_focus(maps).var()) for maps in capture.probs]
        best = scores.index(max(scores))
        clearest = replace(
            capture, layers=capture.layers[best : best + 1], probs=capture.probs[best : best + 1]
        )
        return super().regions(clearest, expected)


def _of(mode: Mode, what: str, setting: str, instead: str, **changes: Any) -> Variant:
    method = replace(PRESET, **changes)
    return Variant(f"{_PRESETS[mode]}:{what}", setting, instead, method, mode)


def _of_both(what: str, setting: str, instead: str, **changes: Any) -> tuple[Variant, Variant]:
    return (
        _of("restart", what, setting, instead, **changes),
        _of("one-pass", what, setting, instead, **changes),
    )


def _instead(what: str, setting: str, instead: str, method: Robust) -> tuple[Variant, ...]:
    """A method of its own in both modes."""
    return tuple(
        Variant(f"{preset}:{what}", setting, instead, method, mode)
        for mode, preset in _PRESETS.items()
    )


def _edits_only(targets: ClassTargets) -> ClassTargets:
    """The targets with a bias on added and removed instances alone.

    No layer is measured below the floor, so that a target lower still never boosts.
    """
    return replace(targets, kept=PROBABILITY_FLOOR / 10, elsewhere=0.0)


_PARTS = PRESET.latent
_VARIANTS: tuple[Variant, ...] = (
    *_of_both(
        "layers=middle",
        "attention of six layers",
        "of the middle one",
        capture=CaptureSpec(cross=(0.5,)),
    ),
    *_instead(
        "layers=clearest",
        "attention of six layers",
        "of the one whose heads are most of one mind",
        ClearestLayer(),
    ),
    *_of_both(
        "evidence=attention",
        "instances from the predicted clean latent",
        "from attention alone",
        evidence="attention",
    ),
    *_of_both(
        "unit=own",
        "attention in units of the most prominent noun",
        "of each noun itself",
        latent=replace(_PARTS, common_unit=False),
    ),
    *_of_both(
        "attended=.3",
        "a part needs .15 of the attention that stands out",
        ".3 of it",
        latent=replace(_PARTS, attended=0.3),
    ),
    *_of_both(
        "valleys=off",
        "parts are split at valleys",
        "never split",
        latent=replace(_PARTS, valley=2.0),
    ),
    *_of_both(
        "fragments=kept",
        "fragments are merged with what they touch",
        "left as they are",
        latent=replace(_PARTS, smallest=0.0),
    ),
    *_instead(
        "tracks=off", "whole tracks are judged and refined", "every frame alone", FrameByFrame()
    ),
    *_of_both(
        "bias=edits",
        "the whole layout is enforced",
        "its edits alone",
        targets=_edits_only(PRESET.targets),
    ),
    *_of_both(
        "erasure=off",
        "removed instances are erased from predictions",
        "left to the attention",
        erasure=None,
    ),
    _of(
        "restart",
        "grafting=off",
        "added instances begin as the likeness of others",
        "left to the attention",
        grafting=None,
    ),
    *_of_both(
        "presence=off",
        "a count must hold in every frame",
        "in most of them",
        presence=None,
    ),
    _of(
        "one-pass",
        "memory=off",
        "a look knows where instances were or shall be",
        "it knows nothing",
        memory=False,
    ),
    *_of_both(
        "added=.9",
        "added instances are lifted to .97, by 12 nats at most",
        "to .9, by 5",
        targets=replace(PRESET.targets, added=0.9, ceiling=5.0),
    ),
    *_of_both(
        "kept=.8",
        "kept ones are lifted to .6, and 3 nats are taken elsewhere",
        "to .8, and 6 nats",
        targets=replace(PRESET.targets, kept=0.8, elsewhere=-6.0),
    ),
    *_of_both(
        "until=.7",
        "guided until noise level .5",
        "until .7",
        schedule=GuidanceSchedule(until=0.7),
    ),
    *_of_both(
        "until=.3",
        "guided until noise level .5",
        "until .3",
        schedule=GuidanceSchedule(until=0.3),
    ),
    _of("restart", "verdict=.73", "the verdict falls at noise level .67", "at .73", verdict=0.73),
    _of("restart", "verdict=.66", "the verdict falls at noise level .67", "at .66", verdict=0.66),
    _of("restart", "verdict=.6", "the verdict falls at noise level .67", "at .6", verdict=0.6),
    Variant("robust:rounds=2", "one guided run", "up to two", PRESET, "restart", rounds=2),
    _of("one-pass", "looks=.87", "looks at .87, .8 and .73", "at .87 alone", looks=(0.87,)),
    _of("one-pass", "looks=.8+.73", "looks at .87, .8 and .73", "at .8 and .73", looks=(0.8, 0.73)),
)
VARIANTS: Mapping[str, Variant] = MappingProxyType({each.name: each for each in _VARIANTS})
