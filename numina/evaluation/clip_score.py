"""CLIP score: how well the frames of a clip fit its prompt."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from numina.evaluation.counters import pictures
from numina.evaluation.failure import EvaluationError
from numina.evaluation.pretrained import (
    Judge,
    Network,
    Pinned,
    Place,
    describe_network,
    load_network,
)

# Which CLIP the paper took is not known to us: compare scores of one model only.
CLIP = Pinned(
    "openai/clip-vit-large-patch14",
    "32bd64288804d66eefd0ccbe215aa642df71cc41",
    "CLIPModel",
    "CLIPImageProcessorPil",
)


class Scorer(Protocol):
    """Scores clips. It must be picklable before it is prepared."""

    def describe(self) -> dict[str, Any]:
        """All that the score depends on, as plain JSON values."""
        ...

    def prepare(self) -> None:
        """Get ready to score; called once in every process."""
        ...

    def score(self, frames: NDArray[np.float32], prompt: str) -> float:
        """How well frames ``[F, Y, X, 3]`` in 0..1 fit a prompt."""
        ...


@dataclass(frozen=True)
class ClipScore(Judge):
    """Cosine of the embeddings of frame and prompt, times 100, mean over the frames.

    Attributes:
        place: Where the model is loaded from and runs.
        batch: Frames in one forward pass.
    """

    place: Place = Place()
    batch: int = 16

    def describe(self) -> dict[str, Any]:
        return describe_network(CLIP, self.place, "clip_model")

    def prepare(self) -> None:
        """Load the model.

        Raises:
            EvaluationError: If it cannot be loaded.
        """
        _ = self._network

    def score(self, frames: NDArray[np.float32], prompt: str) -> float:
        """The score of a clip, in -100..100; a prompt is cut where the model stops reading.

        Args:
            frames: ``[F, Y, X, 3]`` in 0..1.
            prompt: What it should show.

        Raises:
            EvaluationError: If the clip is broken, or the score is not finite.
        """
        images, network = pictures(frames), self._network
        most = network.model.config.text_config.max_position_embeddings
        text = network.tokenizer(prompt, truncation=True, max_length=most, return_tensors="pt")
        words = {
            name: text[name].to(network.model.device) for name in ("input_ids", "attention_mask")
        }
        cosines = []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch):
                seen = network.model(**words, **network.pixels(images[start : start + self.batch]))
                cosine = torch.nn.functional.cosine_similarity(
                    seen.image_embeds.double(), seen.text_embeds.double()
                )
                cosines += cosine.tolist()
        score = float(np.mean(cosines)) * 100
        if not np.isfinite(score):
            raise EvaluationError(f"the CLIP score of {prompt!r} is not finite")
        return score

    @cached_property
    def _network(self) -> Network:
        return load_network(CLIP, self.place, "clip_model")
