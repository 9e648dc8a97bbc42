"""What each token of a caption should know: the noun it belongs to, and how many there are.

A text encoder that is trained through the pictures alone binds numbers to nouns slowly. Large
text encoders come trained; this one is told, by a linear reading of its embeddings that is thrown
away after training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import T5Tokenizer

from numina.sprites.model import TEXT_DIM
from numina.sprites.world import CATEGORIES, NUMBER_WORDS, SINGULARS

UNREAD = -100


class CaptionReader(nn.Module):
    """Linear readings of count and noun from embeddings ``[B, K, TEXT_DIM]``."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = nn.Linear(TEXT_DIM, len(NUMBER_WORDS))
        self.nouns = nn.Linear(TEXT_DIM, len(CATEGORIES))

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of both readings, over the tokens that belong to a noun; 0 without any."""
        read = labels[..., 0] != UNREAD
        count, noun = labels[read].unbind(-1)
        told = embeddings[read]
        losses = (
            functional.cross_entropy(self.counts(told), count, reduction="sum"),
            functional.cross_entropy(self.nouns(told), noun, reduction="sum"),
        )
        return torch.stack(losses).sum() / max(len(told), 1)


def caption_labels(tokenizer: T5Tokenizer, tokens: Tensor) -> Tensor:
    """Index of the count and of the noun at every token, ``[B, K, 2]``; `UNREAD` elsewhere.

    A number word and all words of the noun behind it share their labels.
    """
    phrases = {}
    for index, category in enumerate(CATEGORIES):
        for count, word in enumerate(NUMBER_WORDS):
            noun = SINGULARS[category] if count == 0 else category
            ids = tuple(tokenizer(f"{word} {noun}", add_special_tokens=False).input_ids)
            phrases[ids] = (count, index)
    longest = max(map(len, phrases))
    labels = torch.full((*tokens.shape, 2), UNREAD)
    for row, ids in enumerate(tokens.tolist()):
        for start in range(len(ids)):
            for length in range(longest, 0, -1):
                found = phrases.get(tuple(ids[start : start + length]))
                if found is not None:
                    labels[row, start : start + length] = torch.tensor(found)
                    break
    return labels
