"""An attention map as a linear operator that is never stored."""

import torch
from torch import Tensor

from .checks import check_operand, check_query_key, default_scale
from .impl import Impl
from .ops import impl_argument


class AttentionMap:
    """The map ``P = softmax(Q K^T * scale)`` of every head, known by what it does to columns.

    ``P X`` is a pass of attention whose values are ``X``; ``P^T Y`` is
    ``exp(K Q^T * scale - lse) Y``. Noun maps are ``P`` times one-hot columns, and the principal
    components of a map need ``P (P^T (P X))`` with a few columns only. The log-sum-exp of the rows
    is found by the first product and reused by the later ones. Inference only.

    Args:
        query: ``[B, Q, H, D]``, float16, bfloat16, float32 or float64. Any strides. For maps
            within a frame, put the frames into ``B``.
        key: ``[B, K, H, D]``, same dtype and device as ``query``.
        scale: Score multiplier. Defaults to ``D ** -0.5``.
        impl: Implementation; the best one installed for the device by default.

    Raises:
        ShapeError: If query and key do not fit together.
        DTypeError: If their dtypes differ or are not supported.
        DeviceError: If they live on different devices.
        InferenceOnlyError: If an input requires a gradient and gradients are on.
        ImplementationError: If ``impl`` is unknown or not installed.
    """

    def __init__(
        self,
        query: Tensor,
        key: Tensor,
        *,
        scale: float | None = None,
        impl: Impl | str | None = None,
    ) -> None:
        check_query_key(query, key)
        self._query, self._key = query, key
        self._impl = impl_argument(impl)
        self._scale = default_scale(query, scale)
        self._lse: Tensor | None = None

    @property
    def lse(self) -> Tensor:
        """Log-sum-exp of each row of scores, ``[B, H, Q]`` float32, in nats."""
        if self._lse is None:
            self._lse = torch.ops.numina.attention_map_lse(
                self._query, self._key, self._scale, self._impl
            )
        return self._lse

    def apply(self, x: Tensor) -> Tensor:
        """Multiply by the map: ``P x``.

        Args:
            x: Columns, ``[B, K, H, C]``, any floating dtype and strides. Sums are float32.

        Returns:
            ``[B, Q, H, C]`` in the dtype of ``x``, contiguous.

        Raises:
            ShapeError, DTypeError, DeviceError: If ``x`` does not fit query and key.
        """
        check_operand(self._query, x, "x", self._key.shape[1])
        if self._lse is None:
            output, self._lse = torch.ops.numina.attention_map_apply(
                self._query, self._key, x, self._scale, self._impl
            )
            return output
        return torch.ops.numina.attention_map_reapply(
            self._query, self._key, x, self._lse, self._scale, self._impl
        )

    def apply_transposed(self, y: Tensor) -> Tensor:
        """Multiply by the transposed map: ``P^T y``.

        Args:
            y: Columns, ``[B, Q, H, C]``, any floating dtype and strides. Sums are float32.

        Returns:
            ``[B, K, H, C]`` in the dtype of ``y``, contiguous.

        Raises:
            ShapeError, DTypeError, DeviceError: If ``y`` does not fit query and key.
        """
        check_operand(self._query, y, "y", self._query.shape[1])
        return torch.ops.numina.attention_map_apply_transposed(
            self._query, self._key, y, self.lse, self._scale, self._impl
        )
