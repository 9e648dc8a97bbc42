"""One colour per noun, none of them the green or red of right and wrong."""

_COLOURS = (
    (61, 114, 214),
    (205, 134, 22),
    (146, 88, 200),
    (18, 146, 148),
    (206, 72, 130),
    (132, 102, 72),
)
NUM_COLOURS = len(_COLOURS)


def noun_colour(noun: int) -> tuple[int, int, int]:
    """Red, green and blue of a noun; they repeat after the sixth."""
    return _COLOURS[noun % NUM_COLOURS]
