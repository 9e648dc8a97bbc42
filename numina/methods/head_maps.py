"""What attention heads see, as pictures."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def pictures_of(maps: Tensor) -> NDArray[np.float32]:
    """Maps ``[M, Y, X]``, each stretched to lie between 0 and 1."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return ((maps - low) / (high - low).clamp(min=1e-12)).numpy().astype(np.float32)
