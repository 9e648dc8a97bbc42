"""OWLv2: one query for each noun, and each box goes to the query that fits it best."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from numina.evaluation.detections import Detections
from numina.evaluation.failure import EvaluationError
from numina.evaluation.pretrained import Network

# The words that the model's card and documentation put around a noun.
TEMPLATE = "a photo of {}"


def best_fits(
    probs: NDArray[np.float64], boxes: NDArray[np.float64], box_threshold: float
) -> Detections:
    """Keep the boxes that are sure, and give each to its best noun.

    Args:
        probs: Probability of each noun, ``[N, G]``.
        boxes: Centre and size, ``[N, 4]``.
        box_threshold: What the best probability must exceed.
    """
    best = probs.max(axis=1)
    kept = best > box_threshold
    return Detections.of_centres(
        boxes[kept], best[kept], probs[kept].argmax(axis=1).astype(np.int64)
    )


def look(
    network: Network, frames: NDArray[np.uint8], nouns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Run the network on frames ``[F, Y, X, 3]`` in 0..255.

    Returns:
        Probabilities of each noun ``[F, N, G]``, and boxes ``[F, N, 4]`` as centre and size in
        shares of the longer side.

    Raises:
        EvaluationError: If a query is longer than the network reads.
    """
    most = network.model.config.text_config.max_position_embeddings
    text = network.tokenizer(
        [TEMPLATE.format(noun) for noun in nouns],
        padding="max_length",
        max_length=most,
        return_tensors="pt",
    )
    if text["input_ids"].shape[1] > most:
        raise EvaluationError(
            f"OWLv2 reads {most} tokens a noun, but one of {', '.join(map(repr, nouns))} has "
            f"{text['input_ids'].shape[1]} with {TEMPLATE!r} around it"
        )
    queries = {
        name: text[name].to(network.model.device).repeat(len(frames), 1)
        for name in ("input_ids", "attention_mask")
    }
    with torch.inference_mode():
        seen = network.model(**network.pixels(frames), **queries)
    probs = seen.logits.double().sigmoid()
    return probs.cpu().numpy(), seen.pred_boxes.double().cpu().numpy()
