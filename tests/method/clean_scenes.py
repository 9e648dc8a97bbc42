"""Scenes of bright instances on a flat ground, and passes of a model that predicts them."""

import numpy as np
import torch

from numina.attend import Prediction
from numina.layout import Layout

# Two latents to a patch, as Wan has it: 6 x 8 patches of 2 frames.
GRID, PATCH, NOISE = (2, 6, 8), 2, 0.8
FIRST, SECOND = (slice(None), slice(1, 3), slice(1, 3)), (slice(None), slice(3, 5), slice(5, 7))


def layout(*places):
    """One instance of the one noun at each place."""
    labels = np.zeros(GRID, np.int16)
    for label, place in enumerate(places, 1):
        labels[place] = label
    return Layout(labels, (0,) * len(places))


def scene(*places, ground=1.0):
    """A clean latent ``[1, 1, F, y, x]`` with an instance of 5 at each place."""
    clean = np.full(GRID, ground, np.float32)
    for place in places:
        clean[place] = 5.0
    clean = clean.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
    return torch.from_numpy(clean)[None, None]


def predicted(clean, branch="cond", noise=NOISE, dtype=torch.float32):
    """A forward pass that predicts ``clean``."""
    gaussian = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    latents = (1 - noise) * clean + noise * gaussian
    return Prediction(3, noise, branch, latents.to(dtype), (gaussian - clean).to(dtype))


def both(negative, positive):
    """The two branches of classifier-free guidance in one forward pass."""
    return Prediction(
        positive.step,
        positive.noise,
        "both",
        torch.cat([negative.latents, positive.latents]),
        torch.cat([negative.velocity, positive.velocity]),
    )


def after(change, prediction):
    """The clean latent of a prediction once it is changed."""
    return prediction.latents - prediction.noise * (prediction.velocity + change(prediction))
