"""Which calls stay here and which go to the eager implementation, with the reason beside each."""

import torch
from torch import Tensor

from ..errors import DeviceError

# What the C++ was written for: the dtypes that video models run in on a CPU. float16 is a dtype of
# GPUs (few CPUs multiply it); float64 is for oracles and tests, where speed is no concern.
COMPILED_DTYPES = (torch.float32, torch.bfloat16)


def is_compiled(query: Tensor) -> bool:
    """Whether the C++ takes a call with this query; the eager implementation takes the others.

    Raises:
        DeviceError: If the query is not on the CPU.
    """
    if query.device.type != "cpu":
        raise DeviceError(
            f"impl 'cpu' takes tensors on the CPU, got query on {query.device}: "
            "choose impl='eager', or leave impl out"
        )
    return query.dtype in COMPILED_DTYPES


def compiled_columns(columns: Tensor) -> Tensor:
    """Columns that a map multiplies, in a dtype that the C++ reads. Its sums are float32 anyway."""
    return columns if columns.dtype in COMPILED_DTYPES else columns.float()
