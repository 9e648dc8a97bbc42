"""Identification in hard worlds: runs that pass through rendered clips whose truth is known."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from numina.attention.capture import Capture, CaptureSpec
from numina.evaluation.identification import Reader
from numina.evaluation.methods import SPRITE_PATCHES
from numina.evaluation.suites import REPORTING_SEED, Case
from numina.identify.heads import score_heads
from numina.identify.regions import attention_layout
from numina.layout import Layout
from numina.methods.paper import Paper
from numina.methods.robust import Evidence, Robust
from numina.sprites.drawing import SPRITE_SIDE
from numina.sprites.hard_worlds import WORLDS, HardWorld, KnownClip, hard_scene, render_known

# The first and the last look of one-pass mode, and where the verdict of restart mode falls.
HARD_LEVELS = (0.87, 0.73, 0.6)
# Where in the folder of a world's results the published method has its own.
PUBLISHED = "published"


@dataclass(frozen=True)
class MergedByAffinity(Robust):
    """The attention alone, with touching regions merged that self-attention does not tell apart.

    Features are those of the head that separates instances best in each frame.
    """

    evidence: Evidence = "attention"
    capture: CaptureSpec = CaptureSpec(features=0.5)

    def regions(
        self, capture: Capture, expected: Layout | None = None
    ) -> tuple[Layout, NDArray[np.float32]] | None:
        found = super().regions(capture, expected)
        if found is None or capture.features is None:
            return None
        best = score_heads(capture.features, capture.grid).argmax(dim=1)
        features = capture.features[torch.arange(len(best)), best].numpy()
        focus = found[1]
        return attention_layout(focus, capture.grid, self.attention, features), focus


def our_readers() -> Mapping[str, Reader]:
    """Ours, by name: the presets, and what they see with touching fragments left as they are."""
    ours = Robust()
    alone = replace(ours, evidence="attention")
    methods = {
        "robust": ours,
        "robust-fragments": replace(ours, latent=replace(ours.latent, smallest=0.0)),
        "attention": alone,
        "attention-fragments": replace(alone, attention=replace(alone.attention, smallest=0.0)),
        "attention-affinity": MergedByAffinity(),
    }
    return {name: Reader(method) for name, method in methods.items()}


def published_readers(world: HardWorld) -> Mapping[str, Reader]:
    """The published method, as published and with settings scaled to the sprites of a world.

    They are for a run of their own: its mean shift takes ten times as long as all else.
    """
    patches = SPRITE_PATCHES * (world.side / SPRITE_SIDE) ** 2
    return {"paper": Reader(Paper()), "paper-scaled": Reader(Paper(instance_patches=patches))}


@dataclass(frozen=True)
class HardSuite:
    """Clips of a world that the pipeline is led through instead of drawing its own.

    The finished clip is the rendered one, as the autoencoder gives it back, so that counts and
    masks are those of the renderer: what is hidden for a moment is there all the same.

    Attributes:
        world: A name in `WORLDS`.
        seed: Seed of the first case; case ``i`` has ``seed + i``.
        folder: Folder of the pipeline; None for the shipped one.
        levels: Noise levels at which the run passes through the clip.
    """

    world: str
    seed: int = REPORTING_SEED
    folder: Path | None = None
    levels: tuple[float, ...] = HARD_LEVELS
    tracked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise ValueError(f"world must be one of {', '.join(WORLDS)}, got {self.world!r}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")

    @property
    def name(self) -> str:
        return f"hard-{self.world}"

    def describe(self) -> dict[str, Any]:
        from numina.evaluation.provenance import folder_hash

        return {
            "suite": self.name,
            "world": repr(self._world),
            "seed": self.seed,
            "call": self._arguments(),
            "dtype": "float32",
            "model_sha256": folder_hash(self._folder()),
        }

    def case(self, index: int) -> Case:
        seed = self.seed + index
        scene = hard_scene(self._world, seed)
        nouns, targets = zip(*scene.groups, strict=True)
        return Case(seed, scene.caption, nouns, targets)

    def load(self) -> Any:
        from numina.sprites.known_run import load_with_levels

        return load_with_levels(self.levels, self._folder())

    def call(self, case: Case, attempt: int = 0) -> dict[str, Any]:
        from numina.sprites.known_run import passing_through

        return {
            **self._arguments(),
            **passing_through(
                self.clip(case).frames, self.levels, self._folder(), case.noise(attempt)
            ),
            "output_type": "np",
        }

    def count(self, frames: NDArray[np.float32], case: Case) -> NDArray[np.int64]:
        counts = np.array(case.targets, np.int64)
        return np.repeat(counts[:, None], len(frames), axis=1)

    def masks(self, frames: NDArray[np.float32], case: Case) -> list[NDArray[np.int32]]:
        return list(self.clip(case).masks)

    def clip(self, case: Case) -> KnownClip:
        """The clip of a case: nothing but the world and the seed decides it."""
        scene = hard_scene(self._world, case.seed)
        return render_known(self._world, scene, np.random.default_rng(case.seed))

    @property
    def _world(self) -> HardWorld:
        return WORLDS[self.world]

    def _arguments(self) -> dict[str, Any]:
        from numina.sprites.settings import DEFAULTS

        return replace(DEFAULTS, num_inference_steps=len(self.levels) + 1).arguments()

    def _folder(self) -> Path:
        from numina.sprites.model import WEIGHTS

        return WEIGHTS if self.folder is None else self.folder
