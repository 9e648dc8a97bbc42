"""Where the model attended: the focus of every noun and the chosen heads, as pictures."""

from dataclasses import dataclass

from numina.report.palette import noun_colour
from numina.report.pictures import map_picture, spaced
from numina.report.story import RunStory

_FRAMES = 6
_HEADS = 12
_HEAD_COLOUR = (120, 120, 128)


@dataclass(frozen=True)
class MapFigure:
    """One map, or only the name of what was chosen."""

    caption: str
    picture: str | None


@dataclass(frozen=True)
class MapRow:
    """The focus of one noun over the frames."""

    noun: int
    phrase: str
    pictures: tuple[str, ...]


def focus_rows(story: RunStory) -> tuple[MapRow, ...]:
    """Where each noun attends at the last look before a change, for a few frames."""
    look = story.plain_look
    if look is None:
        return ()
    shown = spaced(look.focus.shape[1], _FRAMES)
    return tuple(
        MapRow(
            noun,
            target.phrase,
            tuple(map_picture(look.focus[noun, frame], noun_colour(noun)) for frame in shown),
        )
        for noun, target in enumerate(story.report.targets)
    )


def head_figures(story: RunStory) -> tuple[MapFigure, ...]:
    """The heads that this look chose, with their maps where they were kept."""
    look = story.plain_look
    if look is None:
        return ()
    maps = [] if look.head_maps is None else [map_picture(m, _HEAD_COLOUR) for m in look.head_maps]
    names = list(look.heads)
    count = min(max(len(maps), len(names)), _HEADS)
    return tuple(
        MapFigure(
            names[index] if index < len(names) else f"map {index + 1}",
            maps[index] if index < len(maps) else None,
        )
        for index in range(count)
    )
