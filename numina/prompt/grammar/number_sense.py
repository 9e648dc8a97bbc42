"""Whether a numeral in a prompt counts anything: names, years, amounts, ranges and the like."""

from numina.prompt.grammar.lexicon import ARTICLES, DEFINITE, PREPOSITIONS
from numina.prompt.grammar.numerals import Number, read_number
from numina.prompt.grammar.phrases import NounPhrase
from numina.prompt.grammar.uncounted import (
    LABELS,
    UNCOUNTED,
    UNIT_FOLLOWERS,
    UNITS,
    WEAK_LABELS,
)
from numina.prompt.grammar.words import Line

IMPERATIVES = frozenset(
    "show draw make generate create film render animate depict imagine picture exactly only just "
    "precisely visualize paint".split()
)
_YEAR_LEADS = frozenset("in since from until by circa year of late early mid the a an".split())
_APPROXIMATE = frozenset("about approximately roughly nearly almost circa maybe perhaps".split())
_COMPARED = (
    ("more", "than"),
    ("fewer", "than"),
    ("less", "than"),
    ("greater", "than"),
    ("at", "least"),
    ("at", "most"),
    ("up", "to"),
)


def is_name(line: Line, index: int, number: Number) -> bool:
    """Whether the numeral at ``index`` is a name, year, fraction or amount: "Formula 1", "$5"."""
    word, before = line.words[index], line.ahead(index)
    if number.digits and word.before[-1:] in tuple("#$€£¥/=×*:."):
        return True
    if line.signs(number.end)[:1] in tuple("%°/×"):
        return True
    if before in LABELS:
        return True
    if before in WEAK_LABELS and line.ahead(index - 1) not in DEFINITE | ARTICLES:
        return True
    if number.value == 1 and before in ("no", "any", "every", "each", "some", "another"):
        return True
    plain = number.digits and "," not in word.text
    if plain and 1000 <= number.value <= 2199 and before in _YEAR_LEADS:
        return True
    initial = line.after(number.end)
    if len(initial) == 1 and initial.isalpha() and initial not in ("a", "i"):
        return True
    capital = number.digits or word.text[:1].isupper()
    return capital and not word.opens and follows_name(line, index, proper=True)


def follows_name(line: Line, index: int, *, proper: bool = False) -> bool:
    """Whether the word before a numeral may be a name that the numeral belongs to.

    Args:
        line: The words of the prompt.
        index: Index of the numeral.
        proper: Whether only a capitalised word is a name.
    """
    before = line.ahead(index)
    if not before or before in IMPERATIVES or before in PREPOSITIONS | DEFINITE | {"and", "or"}:
        return False
    lead = line.words[index - 1]
    return not proper or (lead.text[:1].isupper() and not lead.opens and not line.title_case)


def is_attributive(line: Line, index: int, number: Number) -> bool:
    """Whether a number before a singular only describes it: "a 3 layer cake"."""
    before = line.ahead(index)
    described = before in ARTICLES or before in ("the", "his", "her", "its", "this")
    return number.value != 1 and described


def is_measure(line: Line, first: int, phrase: NounPhrase) -> bool:
    """Whether a unit follows ("5 km", "20 foot walls"), or nothing meant to be seen and counted.

    Args:
        line: The words of the prompt.
        first: Index of the word after the numeral or article.
        phrase: The noun phrase there; it has a head.
    """
    assert phrase.head is not None
    head, follower = line.lower[phrase.head], line.after(phrase.end)
    if phrase.head != first and line.lower[first] in UNITS | {"foot"}:
        return True
    return head in UNITS | UNCOUNTED or (head in ("feet", "foot") and follower in UNIT_FOLLOWERS)


def is_distributive(line: Line, index: int, phrase: NounPhrase) -> bool:
    """Whether the number is said of each: "each holding two balloons", "two bags each"."""
    between: set[str] = set()
    for at in range(index - 1, max(-1, index - 9), -1):
        later = line.words[at + 1]
        if later.opens or later.before not in ("", ","):
            break
        if line.lower[at] in ("each", "every", "per") and between - DEFINITE - {"of", "one"}:
            return "other" not in between
        between.add(line.lower[at])
    following = [line.after(phrase.end), line.after(phrase.end + 1)]
    if following[0] in ("each", "apiece", "per"):
        return following[1] not in ("other", "holding", "wearing", "with", "carrying")
    return following[0] in ("in", "on", "at", "for") and following[1] in ("each", "every")


def range_end(line: Line, index: int, number: Number) -> int | None:
    """Index after a range or bound around the numeral at ``index``; None where it stands alone."""
    end = number.end
    if line.signs(end) in ("-", "–", "—", "~"):
        second = read_number(line.lower, end)
        if second is not None and second.digits and number.digits:
            return second.end
    if line.signs(end) == "+":
        return end
    joint, then = line.after(end), line.after(end + 1)
    if joint in ("or", "to") or (joint == "and" and line.ahead(index) == "between"):
        at = end + 2 if then in ("even", "maybe", "perhaps") else end + 1
        second = read_number(line.lower, at) if at < len(line.words) else None
        if second is not None:
            return second.end
        if joint == "or" and then in ("more", "fewer", "less", "so"):
            return end + 2
    if joint in ("odd", "something", "plus"):
        return end + 1
    bounded = (line.ahead(index - 1), line.ahead(index)) in _COMPARED
    if bounded or line.ahead(index) in _APPROXIMATE:
        return end
    return end if line.signs(index)[-1:] in tuple("~≈><≥≤") else None
