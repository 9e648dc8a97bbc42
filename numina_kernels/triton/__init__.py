"""Triton kernels: tensors stream through, no score is ever stored.

Launch configurations measured on a card are loaded when this room is first entered, from the file
that the environment variable ``NUMINA_LAUNCH_CONFIGS`` names; ``config_file.py`` says more.
"""

from .attention_map import (
    attention_map_apply,
    attention_map_apply_transposed,
    attention_map_lse,
    attention_map_reapply,
)
from .biased_attention import biased_attention, biased_attention_with_probs
from .config_file import use_named_by_environment
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

use_named_by_environment()
