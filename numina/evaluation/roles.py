"""What a method is in a comparison: ours, a rival, or a control; and how it is called in full."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Kind(Enum):
    """Why a method is compared."""

    PLAIN = "plain"
    OURS = "ours"
    RIVAL = "rival"
    CONTROL = "control"
    VARIANT = "variant"


@dataclass(frozen=True)
class Role:
    """A method among the others.

    Attributes:
        title: Its name for a reader.
        kind: Why it is there.
    """

    title: str
    kind: Kind = Kind.OURS


ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "plain": Role("plain", Kind.PLAIN),
        "paper": Role("paper, published settings", Kind.RIVAL),
        "paper-scaled": Role("paper, settings scaled to the grid", Kind.RIVAL),
        "robust": Role("robust, restart"),
        "robust-2": Role("robust, restart, two rounds"),
        "robust-attention": Role("robust, restart, attention alone"),
        "one-pass": Role("robust, one pass"),
        "one-pass-attention": Role("robust, one pass, attention alone"),
        "oracle": Role("control: true layout of the plain clip", Kind.CONTROL),
        "misplaced": Role("control: that layout in wrong places", Kind.CONTROL),
        "oracle-one-pass": Role("control: true layout, from the first look on", Kind.CONTROL),
        "misplaced-one-pass": Role("control: wrong places, from the first look on", Kind.CONTROL),
        "seed-search-5": Role("best of five seeds, by the exact counter", Kind.RIVAL),
        "layout-search-5": Role("best of five seeds, by their layouts"),
        "search-5": Role("five seeds by their layouts, else robust"),
    }
)


def role_of(method: str) -> Role:
    """The role of a method; one that is not in ``ROLES`` is ours, under its own name."""
    kind = Kind.OURS if varied_from(method) is None else Kind.VARIANT
    return ROLES.get(method, Role(method, kind))


def varied_from(method: str) -> str | None:
    """The method whose variant this one is by its name, such as "robust" of "robust:rounds=2"."""
    preset, colon, _ = method.partition(":")
    return preset if colon else None
