"""Which phrase of place is said of which counted group."""

from collections.abc import Sequence
from dataclasses import replace

from numina.prompt.grammar.lexicon import ARTICLES, DEFINITE, PREPOSITIONS
from numina.prompt.grammar.place_phrases import PlacePhrase, place_phrases
from numina.prompt.grammar.readings import Reading
from numina.prompt.grammar.words import Line

# Between a group and its place these begin something else that may be there in its stead.
_OTHERS = ARTICLES | DEFINITE | PREPOSITIONS


def with_places(line: Line, readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Say of every reading where in the frame its things are, as far as the prompt tells.

    A phrase that comes before any group of its sentence places all groups up to the next phrase.
    Otherwise it places the one group right before it. "Two stars and a ball on the left" leaves
    open whether the stars are there, and "a cat beside a tree on the left" whether the cat is:
    such a phrase places nothing, and the readings say so.
    """
    phrases = place_phrases(line)
    placed = list(readings)
    fronted = False
    for number, phrase in enumerate(phrases):
        last = phrases[number - 1].end if number else 0
        opening = _opening(line, phrase.first)
        behind = _between(readings, max(last, opening), phrase.first)
        # "On the left two stars and *on the right* three": the first phrase sets the order.
        fronted = (fronted and last > opening) or not behind
        if fronted:
            until = phrases[number + 1].first if number + 1 < len(phrases) else len(line.words)
            stop = next((at for at in range(phrase.end, until) if line.words[at].opens), until)
            for at in _between(readings, phrase.end, stop):
                placed[at] = replace(placed[at], place=phrase.place)
        elif _belongs(line, readings, behind, phrase):
            placed[behind[-1]] = replace(placed[behind[-1]], place=phrase.place)
        else:
            doubt = f"'{phrase.place.phrase}' may be said of something else, too"
            for at in behind:
                placed[at] = replace(placed[at], place_doubt=doubt)
    return tuple(placed)


def _belongs(
    line: Line, readings: Sequence[Reading], behind: Sequence[int], phrase: PlacePhrase
) -> bool:
    """Whether a phrase can only be said of the last of the groups before it."""
    last = readings[behind[-1]]
    if last.elliptic:
        return True
    between = line.lower[last.noun + 1 : phrase.first]
    return len(behind) == 1 and not _OTHERS & set(between)


def _between(readings: Sequence[Reading], start: int, end: int) -> list[int]:
    """The readings whose number, or noun where none says it, begins in ``start..end - 1``."""
    begins = [each.numeral[0] if each.numeral else each.first for each in readings]
    return [at for at, begin in enumerate(begins) if start <= begin < end]


def _opening(line: Line, index: int) -> int:
    """First word of the sentence that ``index`` stands in."""
    while index > 0 and not line.words[index].opens:
        index -= 1
    return index
