"""Attention operations of numina: tensors in, tensors out, nothing but torch."""

from importlib.metadata import PackageNotFoundError, version

from .attention_map import AttentionMap
from .biased_attention import biased_attention, biased_attention_with_probs
from .errors import (
    DeviceError,
    DTypeError,
    ImplementationError,
    InferenceOnlyError,
    LaunchConfigError,
    LayoutError,
    NuminaError,
    NuminaKernelError,
    ShapeError,
    UnsupportedHeadDim,
)
from .impl import Impl
from .joint_sequence import JointSequence
from .key_groups import KeyGroups
from .layout_bias import BiasMode, LayoutBias
from .padding import FoldedKeys, find_padding, fold_padding
from .token_peaks import token_peaks
from .token_probs import token_probs

try:
    __version__ = version("numina-attention")
except PackageNotFoundError:  # a source tree, or this folder on its own
    __version__ = "0.0.0"

__all__ = [
    "AttentionMap",
    "BiasMode",
    "DTypeError",
    "DeviceError",
    "FoldedKeys",
    "Impl",
    "ImplementationError",
    "InferenceOnlyError",
    "JointSequence",
    "KeyGroups",
    "LaunchConfigError",
    "LayoutBias",
    "LayoutError",
    "NuminaError",
    "NuminaKernelError",
    "ShapeError",
    "UnsupportedHeadDim",
    "__version__",
    "biased_attention",
    "biased_attention_with_probs",
    "find_padding",
    "fold_padding",
    "token_peaks",
    "token_probs",
]
