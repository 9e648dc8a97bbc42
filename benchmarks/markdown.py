"""Lines of a markdown table."""

from collections.abc import Sequence


def line(cells: Sequence[str]) -> str:
    """One row of a table."""
    return f"| {' | '.join(cells)} |"


def rule(columns: int) -> str:
    """The line below the head."""
    return line(("---",) * columns)
