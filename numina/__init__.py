"""numina: text-to-video diffusion that counts. Public names are imported when first used.

``import numina`` itself loads neither torch nor diffusers, so a command line or a service that
may not generate anything starts at once.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numina.audit_record import AuditedNoun, AuditRecord, verify_audit
    from numina.auditing import Audit, audit
    from numina.errors import (
        AlreadyGuidedError,
        CaptureMissedError,
        FormatError,
        LayoutError,
        NuminaError,
        OutOfMemoryError,
        OutputError,
        PromptError,
        RanksDisagreeError,
        ScheduleError,
        TargetError,
        UnsupportedModelError,
        UnsupportedParallelismError,
    )
    from numina.estimating import Estimate, estimate
    from numina.integrations import attached
    from numina.layout import Layout, LayoutEdit
    from numina.pipeline import CountedVideo, generate
    from numina.places import Placed
    from numina.prompt.counts import CountTarget, parse_counts, targets_from_counts
    from numina.record import CountReport
    from numina.searching import FoundVideo, search
    from numina.video import VideoGrid

try:
    __version__ = version("numina-attention")
except PackageNotFoundError:
    # A source tree on the path that was never installed.
    __version__ = "0+unknown"

__all__ = [
    "AlreadyGuidedError",
    "Audit",
    "AuditRecord",
    "AuditedNoun",
    "CaptureMissedError",
    "CountReport",
    "CountTarget",
    "CountedVideo",
    "Estimate",
    "FormatError",
    "FoundVideo",
    "Layout",
    "LayoutEdit",
    "LayoutError",
    "NuminaError",
    "OutOfMemoryError",
    "OutputError",
    "Placed",
    "PromptError",
    "RanksDisagreeError",
    "ScheduleError",
    "TargetError",
    "UnsupportedModelError",
    "UnsupportedParallelismError",
    "VideoGrid",
    "__version__",
    "attached",
    "audit",
    "estimate",
    "generate",
    "parse_counts",
    "search",
    "targets_from_counts",
    "verify_audit",
]

# Where each public name lives; every other one is an error class.
_HOMES = {
    "Audit": "numina.auditing",
    "AuditRecord": "numina.audit_record",
    "AuditedNoun": "numina.audit_record",
    "CountReport": "numina.record",
    "CountTarget": "numina.prompt.counts",
    "CountedVideo": "numina.pipeline",
    "Estimate": "numina.estimating",
    "FoundVideo": "numina.searching",
    "Layout": "numina.layout",
    "LayoutEdit": "numina.layout",
    "Placed": "numina.places",
    "VideoGrid": "numina.video",
    "attached": "numina.integrations",
    "audit": "numina.auditing",
    "estimate": "numina.estimating",
    "generate": "numina.pipeline",
    "parse_counts": "numina.prompt.counts",
    "search": "numina.searching",
    "targets_from_counts": "numina.prompt.counts",
    "verify_audit": "numina.audit_record",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'numina' has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "numina.errors")), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
