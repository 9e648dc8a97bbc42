"""GroundingDINO: all nouns in one caption, and each box goes to the noun whose words light up."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from numina.evaluation.detections import Detections
from numina.evaluation.failure import EvaluationError
from numina.evaluation.pretrained import Network


def caption_of(nouns: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The caption that the model was trained on, and where each noun stands in it.

    Args:
        nouns: ``("red balls", "blue balls")``.

    Returns:
        ``"red balls. blue balls."`` and character offsets ``(start, end)`` of every noun.

    Raises:
        EvaluationError: If a noun holds a full stop or question mark, which separates captions.
    """
    spans: list[tuple[int, int]] = []
    caption = ""
    for noun in nouns:
        text = " ".join(noun.lower().split())
        if not text or set(text) & set(".?"):
            raise EvaluationError(
                f"GroundingDINO needs nouns without full stops and question marks, got {noun!r}"
            )
        caption += " " if caption else ""
        spans.append((len(caption), len(caption) + len(text)))
        caption += f"{text}."
    return caption, spans


def words_of(
    spans: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Which tokens belong to which noun, ``[G, T]``, from character offsets of both."""
    return np.array(
        [[start < last and end > first for start, end in offsets] for first, last in spans]
    )


def grounded(
    probs: NDArray[np.float64],
    boxes: NDArray[np.float64],
    words: NDArray[np.bool_],
    box_threshold: float,
    text_threshold: float,
) -> Detections:
    """Keep the boxes that are sure, and give each to one noun.

    As published, a box is kept where its surest token exceeds one threshold, and named after the
    tokens that exceed another. Here it is a noun, not a list of tokens, that must come of it:
    among the nouns with a token above the text threshold the one with the highest mean over its
    tokens. So "red balls" and "blue balls" are told apart by the colour, for both have balls.

    Args:
        probs: Probability of each token, ``[N, T]``.
        boxes: Centre and size, ``[N, 4]``.
        words: Which tokens belong to which noun, ``[G, T]``.
        box_threshold: The first threshold.
        text_threshold: The second.
    """
    named = np.where(words[None], probs[:, None], 0)  # [N, G, T]
    best = named.max(axis=2)
    mean = named.sum(axis=2) / np.maximum(words.sum(axis=1), 1)
    rank = np.where(best > text_threshold, mean, -1.0)
    kept = (best.max(axis=1) > box_threshold) & (rank.max(axis=1) >= 0)
    return Detections.of_centres(
        boxes[kept], best[kept].max(axis=1), rank[kept].argmax(axis=1).astype(np.int64)
    )


def look(
    network: Network, frames: NDArray[np.uint8], nouns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Run the network on frames ``[F, Y, X, 3]`` in 0..255.

    Returns:
        Probabilities of each token ``[F, N, T]``, boxes ``[F, N, 4]`` as centre and size in shares
        of the frame, and which tokens belong to which noun ``[G, T]``.

    Raises:
        EvaluationError: If the caption is longer than the network reads, or it knows a noun not.
    """
    caption, spans = caption_of(nouns)
    text = network.tokenizer(caption, return_offsets_mapping=True, return_tensors="pt")
    words = words_of(spans, text.pop("offset_mapping")[0].tolist())
    unknown = (text["input_ids"][0] == network.tokenizer.unk_token_id).numpy()
    for noun, tokens in zip(nouns, words, strict=True):
        if (tokens & unknown).any():
            raise EvaluationError(f"GroundingDINO cannot read {noun!r}; name it otherwise")
    length, most = words.shape[1], network.model.config.max_text_len
    if length > most or not words.any(axis=1).all():
        raise EvaluationError(
            f"GroundingDINO reads {most} tokens and every noun must have one, but {caption!r} has "
            f"{length}"
        )
    text = {
        name: ids.to(network.model.device).expand(len(frames), -1)
        for name, ids in text.items()
        if name in ("input_ids", "attention_mask", "token_type_ids")
    }
    with torch.inference_mode():
        seen = network.model(**network.pixels(frames), **text)
    probs = seen.logits[..., :length].double().sigmoid()
    return probs.cpu().numpy(), seen.pred_boxes.double().cpu().numpy(), words
