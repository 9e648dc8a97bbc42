"""The compiled half of this implementation: its operations, and which instructions they use."""

from importlib.util import find_spec

import torch

from ..errors import ImplementationError

_PACKAGE = __package__.rpartition(".")[0]


def _load():
    spec = find_spec("._cpu", _PACKAGE)
    if spec is None or spec.origin is None:
        raise ImplementationError(
            "the C++ extension is not built: pip install --no-build-isolation numina-attention"
        )
    # It knows no Python: loading it registers its operations with torch, and that is all.
    torch.ops.load_library(spec.origin)
    return torch.ops.numina_cpu


OPERATIONS = _load()

# Those of this CPU, the best one first.
INSTRUCTION_SETS: tuple[str, ...] = tuple(OPERATIONS.instruction_sets().split(","))


def instruction_set() -> str:
    """The one in use. Tests put another in its place, so that all of them are tested anywhere."""
    return INSTRUCTION_SETS[0]
