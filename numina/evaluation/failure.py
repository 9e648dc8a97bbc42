"""The error of an evaluation that cannot be trusted or finished."""

from numina.errors import NuminaError


class EvaluationError(NuminaError, RuntimeError):
    """A clip that cannot be counted, a result that is missing, or a run that cannot go on."""
