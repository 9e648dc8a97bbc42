"""Couples scenes with noise: of all places for its sprites, a scene takes those near its noise.

Flow matching learns the same world from any pairing of noise with clips as long as each side keeps
its own distribution, and learns it faster from pairs that lie close (optimal transport couplings:
Tong et al. 2023, arXiv 2302.00482). Paired at random, noise says nothing about where sprites will
be or how many: the model decides both while they form, and every undecided place is a miscount.
Here noise e is drawn first, and the scene is put where it is nearest. For sprites with latents T
at places p,

    argmin_p |e - x(p)|^2 = argmax_p sum_i <e, T_i at p_i>,

one matched filter for each noun, maximised sprite by sprite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from numpy.typing import NDArray
from torch.nn import functional

from numina.sprites.autoencoder import encode
from numina.sprites.drawing import SPRITE_SIDE, draw_scenery
from numina.sprites.model import LATENT_SIDE, LATENT_STRIDE
from numina.sprites.world import (
    FRAME_SIDE,
    MIN_GAP,
    Placing,
    Scene,
    corner_range,
    paint,
)

# Latents around a sprite that its pixels still change.
_MARGIN = 1


@dataclass
class Coupling:
    """The matched filters of all nouns, made when first asked for.

    Attributes:
        autoencoder: Its latents are those of the noise.
    """

    autoencoder: AutoencoderKLWan
    _filters: dict[tuple[str, str, str], torch.Tensor] = field(default_factory=dict)

    def placing(self, noise: torch.Tensor, poses: Sequence[int]) -> Placing:
        """How to place sprites near a given noise.

        Args:
            noise: ``[C, T, H, W]``, as the transformer sees it.
            poses: Of each of the T latent frames, in steps of the drift, see `world.pose_of`.
        """

        def place(
            scene: Scene, step: NDArray[np.int64], rng: np.random.Generator
        ) -> NDArray[np.int64]:
            low, high = (np.array(c) for c in corner_range((int(step[0]), int(step[1]))))
            scores = np.stack([
                self._scores(noise, scene, category, step, poses)[
                    low[0] : high[0] + 1, low[1] : high[1] + 1
                ]
                for category, _ in scene.groups
            ])  # fmt: skip
            # Pixels that share a latent share a score.
            scores += 1e-3 * rng.random(scores.shape)
            blur = 0.0
            while True:
                trial = scores + blur * rng.standard_normal(scores.shape)
                corners = highest(trial, [count for _, count in scene.groups])
                if corners is not None:
                    return low + corners
                # The best places left no room for all: try places a little worse.
                blur += 0.25 * float(scores.std())

        return place

    def _scores(
        self,
        noise: torch.Tensor,
        scene: Scene,
        category: str,
        step: NDArray[np.int64],
        poses: Sequence[int],
    ) -> NDArray[np.float64]:
        """What a sprite would gain at each corner ``[Y, X]`` of the first pose, in pixels."""
        sprite = self._filter(category, scene.direction, scene.scenery)
        gains = functional.conv2d(noise.transpose(0, 1), sprite[None], padding=_MARGIN)[:, 0]
        side = gains.shape[-1] * LATENT_STRIDE
        total = np.zeros((side, side))
        for gain, pose in zip(gains.double().numpy(), poses, strict=True):
            pixels = gain.repeat(LATENT_STRIDE, axis=0).repeat(LATENT_STRIDE, axis=1)
            # A latent stands for the corners around its own.
            rows, columns = LATENT_STRIDE // 2 + step * pose
            total += np.roll(pixels, (-rows, -columns), axis=(0, 1))
        return total

    def _filter(self, category: str, direction: str, scenery: str) -> torch.Tensor:
        """What a sprite changes in the latents, ``[C, h, w]``, of length 1."""
        key = (category, direction, scenery)
        if key not in self._filters:
            empty = draw_scenery(scenery, FRAME_SIDE, np.random.default_rng(0))
            shown = empty.copy()
            first = LATENT_SIDE // 2 - 2
            paint(shown, category, direction, np.array([first, first]) * LATENT_STRIDE)
            clips = np.stack([empty, shown])[:, None].clip(0, 255).astype(np.uint8)
            latents = encode(self.autoencoder, clips)[:, :, 0]
            change = latents[1] - latents[0]
            window = slice(first - _MARGIN, first + SPRITE_SIDE // LATENT_STRIDE + _MARGIN)
            change = change[:, window, window]
            self._filters[key] = change / change.norm()
        return self._filters[key]


def highest(scores: NDArray[np.float64], counts: list[int]) -> NDArray[np.int64] | None:
    """Corners ``[total, 2]`` of the highest scores ``[N, Y, X]``, `counts` of each noun.

    Taken one by one, the highest first, each at a sprite's distance from those before; None where
    no room is left.
    """
    scores, left = scores.copy(), list(counts)
    found: list[list[tuple[int, int]]] = [[] for _ in counts]
    distance = SPRITE_SIDE + MIN_GAP
    for _ in range(sum(counts)):
        noun, row, column = np.unravel_index(scores.argmax(), scores.shape)
        if scores[noun, row, column] == -np.inf:
            return None
        found[noun].append((int(row), int(column)))
        rows = slice(max(0, row - distance + 1), row + distance)
        columns = slice(max(0, column - distance + 1), column + distance)
        scores[:, rows, columns] = -np.inf
        left[noun] -= 1
        if not left[noun]:
            scores[noun] = -np.inf
    return np.array([corner for corners in found for corner in corners], dtype=np.int64)
