"""Which methods a plot brings out, and in which style; all others are drawn in grey behind."""

from collections.abc import Mapping, Sequence

from numina.evaluation.report.standings import Standing, leader
from numina.evaluation.roles import Kind

# More colours than these are no longer told apart at a glance.
STYLES = ("s1", "s2", "s3", "s4")
PLAIN_STYLE, GREY, CONTROL_STYLE = "s0", "grey", "grey control"
# From the hindmost to the foremost.
LAYERS = (CONTROL_STYLE, GREY, PLAIN_STYLE, *reversed(STYLES))
# The modes as they come, and the published method: a reader looks for these.
_EXPECTED = ("robust", "one-pass", "paper", "paper-scaled")


def highlights(standing: Sequence[Standing]) -> Mapping[str, str]:
    """The style class of every method.

    The one that leads, those that a reader expects and then the most accurate have a colour of
    their own, plain that of the text, and controls never one.
    """
    first = leader(standing)
    expected = [each for name in _EXPECTED for each in standing if each.name == name]
    by_accuracy = sorted(standing, key=lambda each: -each.accuracy.value)
    ranked = dict.fromkeys(
        each.name
        for each in (*([first] if first else []), *expected, *by_accuracy)
        if each.role.kind in (Kind.OURS, Kind.RIVAL)
    )
    coloured = dict(zip(ranked, STYLES, strict=False))
    return {each.name: coloured.get(each.name, _uncoloured(each)) for each in standing}


def _uncoloured(standing: Standing) -> str:
    match standing.role.kind:
        case Kind.PLAIN:
            return PLAIN_STYLE
        case Kind.CONTROL:
            return CONTROL_STYLE
        case _:
            return GREY
