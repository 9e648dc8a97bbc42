"""Phrases that name a part of the frame: "on the left", "in the upper right corner"."""

from collections.abc import Sequence
from dataclasses import dataclass

from numina.places import PLACES, Place
from numina.prompt.grammar.lexicon import (
    is_adverb,
    is_base_verb,
    is_gerund,
    is_past_verb,
    is_s_verb,
)
from numina.prompt.grammar.numerals import is_number_word
from numina.prompt.grammar.words import Line, is_boundary

# "to the left" and "towards the top" are ways to go, "from the right" is one to come.
_LEADS = frozenset("on at in".split())
_LEFT_RIGHT = {"left": "left", "right": "right", "left-hand": "left", "right-hand": "right"}
_UP_DOWN = {
    "top": "upper",
    "upper": "upper",
    "bottom": "lower",
    "lower": "lower",
}
_WHOLE = {"upper": "top", "lower": "bottom"}
_MIDDLE = frozenset("middle center centre".split())
# Behind "left" or "upper" they still name the part of the frame.
_PARTS = frozenset("side half part edge end corner area portion section hand".split())
_NEEDS_PART = frozenset("upper lower left-hand right-hand".split())
# "of the frame" leaves it the frame's; "of the road" makes it the road's.
_FRAMES = frozenset("frame picture image screen scene video shot view".split())


@dataclass(frozen=True)
class PlacePhrase:
    """A part of the frame, said.

    Attributes:
        first: Index of its first word.
        end: Index of the first word after it.
        place: The part.
    """

    first: int
    end: int
    place: Place


def place_at(line: Line, index: int) -> PlacePhrase | None:
    """The phrase that begins at a word, or None where none does, or it is not of the frame."""
    lower = line.lower
    if index >= len(lower) or lower[index] not in _LEADS or line.after(index + 1) != "the":
        return None
    at = index + 2
    words: list[str] = []
    while (word := line.after(at)) and len(words) < 2:
        parts = word.split("-") if set(word.split("-")) <= {*_LEFT_RIGHT, *_UP_DOWN} else [word]
        if not all(part in _LEFT_RIGHT or part in _UP_DOWN or part in _MIDDLE for part in parts):
            break
        words += parts
        at += 1
    name = _name(words)
    if name is None:
        return None
    named_part = False
    while line.after(at) in _PARTS:
        at, named_part = at + 1, True
    if words[-1] in _NEEDS_PART and len(words) == 1 and not named_part:
        return None
    if line.after(at) == "of":
        owner = at + 2 if line.after(at + 1) == "the" else at + 1
        if line.after(owner) not in _FRAMES:
            return None
        at = owner + 1
    elif not _ends(line, at):
        return None
    return PlacePhrase(index, at, PLACES[name])


def place_phrases(line: Line) -> tuple[PlacePhrase, ...]:
    """All phrases of a prompt, in their order."""
    found = (place_at(line, index) for index in range(len(line.words)))
    return tuple(phrase for phrase in found if phrase is not None)


def _name(words: Sequence[str]) -> str | None:
    """The key of ``PLACES`` that adjectives of place name together."""
    sides = [_LEFT_RIGHT[word] for word in words if word in _LEFT_RIGHT]
    heights = [_UP_DOWN[word] for word in words if word in _UP_DOWN]
    if len(words) == 1 and words[0] in _MIDDLE:
        return "middle"
    if len(words) != len(sides) + len(heights) or max(len(sides), len(heights), 0) != 1:
        return None
    if not sides:
        return _WHOLE[heights[0]]
    return f"{heights[0]}_{sides[0]}" if heights else sides[0]


def _ends(line: Line, at: int) -> bool:
    """Whether no noun follows that would be the one on the left: "on the left *bank*"."""
    if is_boundary(line.words, at):
        return True
    word = line.lower[at]
    verb = is_gerund(word) or is_past_verb(word) or is_s_verb(word) or is_base_verb(word)
    return verb or is_number_word(word) or is_adverb(word)
