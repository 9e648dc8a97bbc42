"""C++ on the CPU: vectorised and threaded, one block of scores per thread (see ``csrc/``).

float32 and bfloat16; other dtypes go to the eager implementation, see ``routes``.
"""

from .attention_map import (
    attention_map_apply,
    attention_map_apply_transposed,
    attention_map_lse,
    attention_map_reapply,
)
from .biased_attention import biased_attention, biased_attention_with_probs
from .token_peaks import token_peaks
from .token_probs import token_probs

__all__ = [
    "attention_map_apply",
    "attention_map_apply_transposed",
    "attention_map_lse",
    "attention_map_reapply",
    "biased_attention",
    "biased_attention_with_probs",
    "token_peaks",
    "token_probs",
]
