"""Every error that numina raises on purpose; all derive from ``NuminaError``."""

from numina_kernels.errors import LayoutError, NuminaError

__all__ = [
    "AlreadyGuidedError",
    "CaptureMissedError",
    "FormatError",
    "LayoutError",
    "NuminaError",
    "OutOfMemoryError",
    "OutputError",
    "PromptError",
    "RanksDisagreeError",
    "ScheduleError",
    "TargetError",
    "UnsupportedModelError",
    "UnsupportedParallelismError",
]


class PromptError(NuminaError, ValueError):
    """A prompt that cannot be used: no text, no counts where counts were demanded."""


class TargetError(NuminaError, ValueError):
    """A count target that cannot be meant or met."""


class NoRoomError(TargetError):
    """More instances than fit beside those that were seen."""


class ScheduleError(NuminaError, ValueError):
    """A denoising schedule on which the method has no step to act."""


class CaptureMissedError(NuminaError, RuntimeError):
    """The layer or step to be looked at never ran."""


class UnsupportedModelError(NuminaError, TypeError):
    """A transformer or attention processor that numina has no adapter for."""


class AlreadyGuidedError(NuminaError, RuntimeError):
    """A transformer that another guidance already holds."""


class UnsupportedParallelismError(NuminaError, RuntimeError):
    """A way of splitting the model that guidance cannot follow."""


class RanksDisagreeError(NuminaError, RuntimeError):
    """Ranks of one split transformer that make different videos."""


class FormatError(NuminaError, ValueError):
    """A file that is damaged, of another version or no file of ours."""


class OutOfMemoryError(NuminaError, RuntimeError):
    """Memory ran out in either pass; the pipeline is as it was before."""


class OutputError(NuminaError, OSError):
    """A place to write to that cannot be written to."""
