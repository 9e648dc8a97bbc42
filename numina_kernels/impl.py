"""Which implementation of an operation runs."""

import importlib
import warnings
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType

from .errors import ImplementationError


class Impl(StrEnum):
    """Implementations, one subpackage each. None takes the place of another that was asked for."""

    TRITON = "triton"
    CPU = "cpu"
    EAGER = "eager"
    REFERENCE = "reference"


@dataclass(frozen=True)
class _Needs:
    """What must be importable beside the subpackage itself, and what to do where it is not."""

    module: str  # relative where it starts with a dot
    advice: str
    distribution: str
    version: tuple[int, int]  # the oldest that serves


_NEEDS = {
    Impl.TRITON: _Needs(
        "triton", "install triton 3.6 or newer, on a machine with a GPU", "triton", (3, 6)
    ),
    Impl.CPU: _Needs(
        "._cpu",
        "rebuild with torch 2.10 or newer and a C++ compiler: "
        "pip install --no-build-isolation numina-attention",
        "torch",
        (2, 10),  # The first whose stable ABI splits work among threads.
    ),
}
_PREFERRED = {"cuda": Impl.TRITON, "cpu": Impl.CPU}


def resolve(impl: Impl | str | None, device_type: str) -> Impl:
    """Choose an implementation.

    Args:
        impl: The one asked for, or None for the best one that is installed.
        device_type: ``"cpu"``, ``"cuda"``, ...

    Raises:
        ImplementationError: If ``impl`` is unknown or not installed.
    """
    if impl is None:
        return _default(device_type)
    try:
        chosen = Impl(impl)
    except ValueError:
        known = ", ".join(member.value for member in Impl)
        raise ImplementationError(f"unknown impl {impl!r}; expected one of {known}") from None
    if not is_installed(chosen):
        raise ImplementationError(
            f"impl {chosen.value!r} is not installed: {_NEEDS[chosen].advice}, "
            f"or choose impl='{Impl.EAGER.value}'"
        )
    return chosen


@cache
def is_installed(impl: Impl) -> bool:
    """Whether ``impl`` can be asked for."""
    if find_spec(f".{impl.value}", __package__) is None:
        return False
    if impl not in _NEEDS:
        return True
    needs = _NEEDS[impl]
    return find_spec(needs.module, __package__) is not None and _is_new_enough(needs)


def _is_new_enough(needs: _Needs) -> bool:
    try:
        found = version(needs.distribution)
    except PackageNotFoundError:  # built under another name
        return True
    return tuple(map(int, found.split(".")[:2])) >= needs.version


@cache
def room(impl: Impl) -> ModuleType:
    """The subpackage that holds the functions of ``impl``, one for each operation."""
    return importlib.import_module(f".{impl.value}", __package__)


@cache
def _default(device_type: str) -> Impl:
    preferred = _PREFERRED.get(device_type, Impl.EAGER)
    if is_installed(preferred):
        return preferred
    if device_type != "cpu":
        # Eager is the designed path of a CPU without the extension; elsewhere it is a loss.
        warnings.warn(
            f"numina_kernels runs impl 'eager' on {device_type}: impl {preferred.value!r} is not "
            f"installed ({_NEEDS[preferred].advice})",
            stacklevel=2,
        )
    return Impl.EAGER
