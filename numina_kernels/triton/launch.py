"""From tensors to a launch: what is refused, which configuration, which grid."""

import math
import warnings
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from triton.runtime.errors import OutOfResources
from triton.runtime.interpreter import InterpretedFunction

from ..errors import DTypeError, ImplementationError, UnsupportedHeadDim
from .configs import INTERPRETER, MOST_HEAD_DIM, Form, LaunchConfig, candidates, width_of

LOG2E = math.log2(math.e)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
# The narrowest tile a matrix unit takes, and the most gathered keys that stay in registers.
NARROWEST, MOST_GATHERED = 16, 64


class Work(NamedTuple):
    """What a launch has to do, as far as its configuration depends on it."""

    form: Form
    rows: int  # that programs own, of one head
    heads: int  # of the whole batch
    head_dim: int
    columns: int = 0  # of the values
    keys: int = 0  # where all of them fit one tile
    gathered: int = 0  # keys of nouns


def check(query: Tensor) -> None:
    """Refuse what no kernel was built for."""
    if query.dtype not in DTYPES:
        raise DTypeError(
            f"impl 'triton' takes query and key in float16, bfloat16 or float32, "
            f"got {query.dtype}; convert them or choose impl='eager'"
        )
    most = MOST_HEAD_DIM[bits(query)]
    if query.shape[-1] > most:
        raise UnsupportedHeadDim(
            f"impl 'triton' was built for head dimensions up to {most} of {query.dtype}, "
            f"got {query.shape[-1]}; choose impl='eager'"
        )


def bits(tensor: Tensor) -> int:
    """16 or 32, the width of its products."""
    return 16 if tensor.dtype in (torch.float16, torch.bfloat16) else 32


def positive_scale(query: Tensor, scale: float) -> tuple[Tensor, float]:
    """The same scores with a scale that is not negative, so that the largest product leads."""
    return (query, scale) if scale >= 0 else (-query, -scale)


def form_of_attention(query: Tensor, keys: int) -> Form:
    """Whether ``keys`` keys are one tile."""
    most = candidates(architecture(query), Form.ONE_TILE, bits(query), NARROWEST)[0].block_n
    return Form.ONE_TILE if keys <= most else Form.STREAM


def launch(kernel: Any, query: Tensor, work: Work, /, **arguments: Any) -> None:
    """Start ``kernel`` on the programs that ``work`` needs.

    Args:
        kernel: The kernel; gets its block sizes beside ``arguments``.
        query: What the kernel owns rows of; its device and dtype decide.
        work: What there is to do.
        arguments: The other arguments of the kernel.

    Raises:
        ImplementationError: If the device is not one that Triton serves, or the kernel had to be
            compiled while a CUDA graph was being captured.
    """
    device, target = query.device, architecture(query)
    width = width_of(max(work.head_dim, work.columns))
    *larger, smallest = candidates(target, work.form, bits(query), width)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        for config in larger:
            try:
                return start(kernel, work, arguments | _sizes(target, config, work), config)
            except OutOfResources as error:
                warnings.warn(
                    f"{config} of {kernel.__name__} does not fit {device} ({error}); "
                    "the next smaller one is used",
                    stacklevel=2,
                )
        start(kernel, work, arguments | _sizes(target, smallest, work), smallest)


def start(kernel: Any, work: Work, arguments: dict[str, Any], config: LaunchConfig) -> None:
    """Start ``kernel`` with all its arguments."""
    grid = (arguments["num_row_blocks"] * work.heads,)
    try:
        kernel[grid](**arguments, num_warps=config.num_warps, num_stages=config.num_stages)
    except RuntimeError as error:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            raise ImplementationError(
                f"{kernel.__name__} could not be loaded while a CUDA graph is being captured; "
                "run the operation once on the same shapes before the capture"
            ) from error
        raise


def architecture(tensor: Tensor) -> int:
    """Compute capability of the device, 90 for 9.0, or ``INTERPRETER``."""
    if tensor.device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(tensor.device)
        return 10 * major + minor
    if isinstance(_any_kernel, InterpretedFunction):
        return INTERPRETER
    raise ImplementationError(
        f"impl 'triton' needs tensors on a CUDA device, got {tensor.device}; "
        "move them or choose impl='eager'"
    )


def _sizes(target: int, config: LaunchConfig, work: Work) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "num_row_blocks": triton.cdiv(work.rows, config.block_m),
        "BLOCK_D": block(work.head_dim),
        "BLOCK_M": config.block_m,
        "INTERPRETED": target == INTERPRETER,
    }
    if work.form not in (Form.PROBS, Form.PEAKS):
        keys = work.keys if work.form is Form.ONE_TILE else config.block_n
        sizes |= {"BLOCK_C": block(work.columns), "BLOCK_N": block(keys)}
    if work.form is not Form.PRODUCT:
        sizes["BLOCK_T"] = min(block(work.gathered), MOST_GATHERED)
    return sizes


def block(size: int) -> int:
    """The size of the block that holds ``size`` numbers."""
    return max(NARROWEST, triton.next_power_of_2(size))


@triton.jit
def _any_kernel():
    """Tells whether kernels are interpreted: that was decided when Triton was imported."""
