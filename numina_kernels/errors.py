"""Errors of the operations: each says what came, what is allowed and what to do."""


class NuminaError(Exception):
    """Root of every error that numina or numina_kernels raises on purpose."""


class NuminaKernelError(NuminaError):
    """Root of the errors of numina_kernels."""


class ShapeError(NuminaKernelError, ValueError):
    """Tensors whose shapes do not fit together."""


class DTypeError(NuminaKernelError, TypeError):
    """Dtypes that differ or are not supported."""


class DeviceError(NuminaKernelError, ValueError):
    """Tensors of one call that live on different devices."""


class LayoutError(NuminaKernelError, ValueError):
    """A layout, its nouns or its bias table hold something that has no meaning."""


class UnsupportedHeadDim(NuminaKernelError, ValueError):
    """A head dimension that the chosen implementation was not built for."""


class ImplementationError(NuminaKernelError, RuntimeError):
    """An implementation that is unknown or not installed was asked for."""


class InferenceOnlyError(NuminaKernelError, RuntimeError):
    """An input requires a gradient; the operations have none and never detach silently."""


class LaunchConfigError(NuminaKernelError, ValueError):
    """A file of launch configurations that is absent, damaged or of another version."""
