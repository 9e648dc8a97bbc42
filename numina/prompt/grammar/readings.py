"""Rules that read a prompt word by word: which number is said of which noun phrase."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from numina.places import Place
from numina.prompt.grammar.lexicon import (
    ARTICLES,
    DEFINITE,
    NOUN_ADJECTIVES,
    PREPOSITIONS,
    is_adjective,
)
from numina.prompt.grammar.number_sense import (
    follows_name,
    is_attributive,
    is_distributive,
    is_measure,
    is_name,
    range_end,
)
from numina.prompt.grammar.numerals import ENSEMBLES, Number, read_number
from numina.prompt.grammar.phrases import NounPhrase, attributes, plural_phrase, singular_phrase
from numina.prompt.grammar.place_phrases import place_at
from numina.prompt.grammar.subjects import SHOWING, Subjects
from numina.prompt.grammar.uncounted import (
    BODY_PARTS,
    COLLECTIVES,
    HEAPS,
    MEDIA,
    PAIRED_GARMENTS,
    PICTURES,
    PLACES,
    UNCOUNTED,
    UNITS,
)
from numina.prompt.grammar.words import Line, Word

Policy = Literal["explicit", "subjects", "all"]
Kind = Literal["number", "ensemble", "single", "article"]
Found = tuple[list["Reading"], int]

_CONFIDENCE: dict[Kind, float] = {"number": 0.95, "ensemble": 0.9, "single": 0.9, "article": 0.8}
# Longest numeral that is read, in words.
_NUMERAL = 12
_SINGLES = frozenset("lone single solitary sole".split())
_VAGUE = frozenset(
    "several many few some numerous countless multiple various dozens hundreds thousands scores "
    "millions lots plenty".split()
)
_QUANTITIES = frozenset("number variety lot few group bunch".split())
_NO_ARTICLE_AFTER = frozenset("half such many quite what per times once not".split())
_SPATIAL = frozenset("around over under".split())


@dataclass(frozen=True)
class Reading:
    """One number said of one noun phrase.

    Attributes:
        value: The number; 0 where ``reason`` says why none can be told.
        noun: Index of the head noun.
        first: Index of the first attribute of the noun; ``noun`` where there is none.
        last: Index of the last word that names this group: ``noun``, or the last attribute where
            a later group says the noun ("two *red* and three blue balls").
        attributes: Lower-case attributes of the noun.
        definite: Whether "the", "these" or "all" stands before the number.
        joined: Whether "and" stands before the number.
        article: Whether the number is but an article.
        confidence: From 0 to 1.
        reason: Why the number cannot be told; empty where it can.
        strong: Whether ``reason`` overrules other readings of the noun.
        numeral: First and last word of the number; None where no numeral says it.
        elliptic: Whether the noun is that of a group before: "three" of "three on the right".
        place: Part of the frame that they are said to be in.
        place_doubt: Why a place that may be theirs is not given them; empty where none is.
        parts: The readings of one group in several places that this one sums up.
    """

    value: int
    noun: int
    first: int
    last: int
    attributes: tuple[str, ...] = ()
    definite: bool = False
    joined: bool = False
    article: bool = False
    confidence: float = 0.95
    reason: str = ""
    strong: bool = False
    numeral: tuple[int, int] | None = None
    elliptic: bool = False
    place: Place | None = None
    place_doubt: str = ""
    parts: tuple["Reading", ...] = ()


def read_counts(words: Sequence[Word], policy: Policy) -> tuple[Reading, ...]:
    """Every reading of a prompt, in the order of the numbers, the undecidable ones included."""
    reader, readings, index = _Reader(Line(tuple(words)), policy), [], 0
    while index < len(words):
        found, index = reader.read(index)
        readings.extend(found)
        reader.note(found)
    return tuple(readings)


class _Reader:
    """A walk over one prompt; every method returns readings and the index to go on from."""

    def __init__(self, line: Line, policy: Policy) -> None:
        self._line = line
        self._policy = policy
        self._subjects = Subjects(line)
        self._last: Reading | None = None

    def note(self, found: Sequence[Reading]) -> None:
        """Remember the last group, whose noun may be left unsaid later."""
        self._last = next((each for each in reversed(found) if not each.reason), self._last)

    def read(self, index: int) -> Found:
        """Read what begins at a word."""
        word = self._line.lower[index]
        number = self._number_at(index)
        if number is not None:
            return self._number(index, number)
        if word in ENSEMBLES or word.removesuffix("s") in ENSEMBLES:
            return self._ensemble(index)
        if word in _SINGLES:
            return self._single(index)
        if word in _VAGUE or word == "no":
            return self._vague(index)
        if word == "both" and self._line.after(index + 1) not in ARTICLES:
            return self._refuse_next(index + 1, index, "'both' leans on something said elsewhere")
        if word in ARTICLES and self._line.after(index + 1):
            return self._article(index)
        return [], index + 1

    def _number_at(self, index: int) -> Number | None:
        """The numeral at ``index``, cut off where punctuation stands inside it."""
        if index >= len(self._line.words):
            return None
        end = index + 1
        while end < min(len(self._line.words), index + _NUMERAL) and not self._line.signs(end):
            end += 1
        number = read_number(self._line.lower[index:end], 0)
        return None if number is None else replace(number, end=index + number.end)

    def _number(self, index: int, number: Number) -> Found:
        if is_name(self._line, index, number):
            return [], number.end
        ranged = range_end(self._line, index, number)
        if ranged is not None:
            return self._refuse_next(ranged, index, "the prompt names a range", strong=True)
        if self._line.after(number.end) == "of":
            return self._part(index, number)
        phrase = self._phrase(number.end, number.value, index)
        if phrase is None:
            return self._elliptic(index, number), number.end
        if phrase.head is None or (
            number.value == 1 and self._line.lower[phrase.head] in NOUN_ADJECTIVES
        ):
            elided = self._elided(index, number, phrase)
            if elided[0] or phrase.head is None:
                return elided
        return self._judge(index, number, phrase, self._line.lower[phrase.head])

    def _judge(self, index: int, number: Number, phrase: NounPhrase, head: str) -> Found:
        """Decide whether a number before a whole noun phrase is a count of it."""
        line = self._line
        if is_measure(line, number.end, phrase) or (number.value == 1 and head in BODY_PARTS):
            return [], phrase.end
        if number.value == 0 and not phrase.agrees:
            return [], number.end
        if not phrase.agrees and (
            is_attributive(line, index, number) or (number.digits and follows_name(line, index))
        ):
            return [], number.end
        if head in COLLECTIVES and number.value != 1:
            return self._groups(index, phrase, head)
        confidence = _CONFIDENCE["number"] if phrase.agrees else 0.6
        before = line.ahead(index)
        if before in _SPATIAL:
            if number.value >= 10:
                reason = f"'{before}' before the number may mean roughly"
                return self._refuse(index, phrase, reason, strong=True)
            confidence = min(confidence, 0.7)
        if is_distributive(line, index, phrase):
            reason = "the number is said of each one of something else"
            return self._refuse(index, phrase, reason, strong=True)
        return self._counted(index, number, phrase, confidence)

    def _counted(self, index: int, number: Number, phrase: NounPhrase, confidence: float) -> Found:
        found, end = self._accept(index, number.value, phrase, confidence)
        return [replace(found[0], numeral=(index, number.end - 1))], end

    def _accept(self, index: int, value: int, phrase: NounPhrase, confidence: float) -> Found:
        assert phrase.head is not None
        self._subjects.open_until(phrase.end)
        names = attributes(self._line.words, phrase)
        reading = Reading(
            value=value,
            noun=phrase.head,
            first=phrase.first if names else phrase.head,
            last=phrase.head,
            attributes=names,
            definite=self._line.ahead(index) in DEFINITE,
            joined=self._is_joined(index),
            article=value == 1 and self._line.lower[index] in ARTICLES,
            confidence=confidence,
        )
        return [reading], phrase.end

    def _refuse(self, index: int, phrase: NounPhrase, reason: str, strong: bool = False) -> Found:
        found, end = self._accept(index, 0, phrase, 0.0)
        return [replace(found[0], reason=reason, strong=strong)], end

    def _refuse_next(self, first: int, index: int, reason: str, strong: bool = False) -> Found:
        """Refuse whatever plural noun begins at ``first``, behind "of the"."""
        while self._line.after(first) in DEFINITE | {"of"}:
            first += 1
        phrase = self._phrase(first, 2)
        if phrase is None or phrase.head is None or is_measure(self._line, first, phrase):
            return [], max(first, index + 1)
        return self._refuse(index, phrase, reason, strong)

    def _phrase(self, first: int, value: int, index: int = 0) -> NounPhrase | None:
        """The noun phrase at ``first`` of the number at ``index``."""
        if first >= len(self._line.words):
            return None
        if value != 1:
            return plural_phrase(self._line.words, first)
        return singular_phrase(self._line.words, first, joined=self._is_joined(index))

    def _is_joined(self, index: int) -> bool:
        return index > 0 and self._line.lower[index - 1] == "and"

    def _elided(self, index: int, number: Number, phrase: NounPhrase) -> Found:
        """Give the first half of "two red and three blue balls" the noun of the second."""
        line, end = self._line, phrase.first
        while end < len(line.words) and is_adjective(line.lower[end]):
            end += 1
        names = line.lower[phrase.first : end]
        partner_at = end + 1 if end < len(line.words) and line.lower[end] == "and" else end
        joined = partner_at > end or line.signs(end) == ","
        partner = self._number_at(partner_at)
        if not names or not joined or partner is None:
            return [], number.end
        found, _ = self._number(partner_at, partner)
        if not found or found[0].reason or not found[0].attributes:
            return [], number.end
        reading = Reading(
            value=number.value,
            noun=found[0].noun,
            first=phrase.first,
            last=end - 1,
            attributes=names,
            definite=line.ahead(index) in DEFINITE,
            confidence=0.7,
            numeral=(index, number.end - 1),
        )
        return [reading], number.end

    def _elliptic(self, index: int, number: Number) -> list[Reading]:
        """Read "three on the right" as three of the group before."""
        if self._last is None or place_at(self._line, number.end) is None:
            return []
        numeral = (index, number.end - 1)
        return [replace(self._last, value=number.value, numeral=numeral, elliptic=True)]

    def _part(self, index: int, number: Number) -> Found:
        """Read "two of the dogs", which counts no dogs, and "a dozen of eggs", which does."""
        first = number.end + 1
        if self._line.lower[number.end - 1] in ("dozen", "half-dozen"):
            phrase = self._phrase(first, number.value)
            if phrase is not None and phrase.head is not None and phrase.agrees:
                return self._counted(index, number, phrase, 0.9)
        if number.value == 1 or self._number_at(first) is not None:
            return [], first
        return self._refuse_next(first, index, "the number names a part of them only")

    def _groups(self, index: int, phrase: NounPhrase, head: str) -> Found:
        """Read "three pairs of shoes": the number counts the pairs, not the shoes."""
        if self._line.after(phrase.end) != "of":
            return self._refuse(index, phrase, "each of them stands for a number of things")
        inner = self._number_at(phrase.end + 1)
        first = phrase.end + 1 if inner is None else inner.end
        reason = f"the prompt counts {head}, not what they hold"
        return self._refuse_next(first, index, reason, strong=inner is not None)

    def _ensemble(self, index: int) -> Found:
        """Read "a pair of swans" and "a trio of fluffy kittens"."""
        word, first = self._line.lower[index], index + 2
        if self._line.after(index + 1) != "of":
            return [], index + 1
        phrase = self._phrase(first, 2)
        if self._number_at(first) is not None or phrase is None:
            if self._line.after(first) in DEFINITE:
                return self._refuse_next(first, index, "the number names a part of them only")
            return [], first
        if phrase.head is None or not phrase.agrees:
            return [], first
        if word not in ENSEMBLES:
            return self._refuse_next(first, index, f"the prompt says '{word}' without a number")
        if ENSEMBLES[word] == 2 and self._line.lower[phrase.head] in PAIRED_GARMENTS:
            return self._refuse(index, phrase, f"a {word} of them is one thing or two")
        if self._policy == "explicit":
            return [], first
        confidence = 0.6 if word == "couple" else _CONFIDENCE["ensemble"]
        return self._accept(index, ENSEMBLES[word], phrase, confidence)

    def _single(self, index: int) -> Found:
        """Read "a lone wolf" and "single red rose"."""
        started = self._line.ahead(index) in ARTICLES | {"the"} or self._line.words[index].opens
        if not started or self._policy == "explicit":
            return [], index + 1
        return self._one(index, "single")

    def _article(self, index: int) -> Found:
        """Read "a cat" where the policy asks for it."""
        following = self._line.after(index + 1)
        if following in _QUANTITIES and self._line.after(index + 2) == "of":
            return self._members(index, index + 3)
        if following in _SINGLES | _VAGUE | _QUANTITIES:
            return [], index + 1
        if self._line.ahead(index) in _NO_ARTICLE_AFTER:
            return [], index + 1
        return self._one(index, "article")

    def _one(self, index: int, kind: Kind) -> Found:
        """Read one thing after an article or "lone", as far as the policy counts it."""
        line = self._line
        joined = self._is_joined(index)
        phrase = singular_phrase(line.words, index + 1, numerals=kind == "article", joined=joined)
        if phrase is None or phrase.head is None or not phrase.agrees:
            return [], index + 1
        head = line.lower[phrase.head]
        joint = line.after(phrase.end)
        if head in COLLECTIVES | HEAPS and joint == "of":
            if head in ENSEMBLES:
                return [], phrase.first
            if head in COLLECTIVES or self._number_at(phrase.end + 1) is not None:
                return self._members(index, phrase.end + 1)
        elif head in COLLECTIVES or head in ENSEMBLES:
            if self._subjects.note(index, phrase):
                return self._refuse(index, phrase, "it stands for things whose number is not said")
            return [], phrase.first
        subject = self._subjects.note(index, phrase)
        shown = head in PICTURES and joint in SHOWING
        if shown or head in MEDIA | UNCOUNTED | UNITS:
            return [], phrase.first
        if kind == "article":
            counted = subject and head not in PLACES and self._policy == "subjects"
            owned = any(line.words[at].possessive for at in range(phrase.first, phrase.head))
            counted = (counted and not owned) or self._policy == "all"
            if not counted or is_distributive(line, index, phrase):
                return [], phrase.first
        elif self._policy == "subjects" and not subject and self._behind_preposition(index):
            return [], phrase.first
        confidence = _CONFIDENCE[kind] if subject else min(_CONFIDENCE[kind], 0.5)
        return self._accept(index, 1, phrase, confidence)

    def _behind_preposition(self, index: int) -> bool:
        """Whether the phrase that begins before ``index`` is scenery: "on a *single* string"."""
        start = index - 1 if self._line.ahead(index) in ARTICLES | {"the"} else index
        return self._line.ahead(start) in PREPOSITIONS - {"as"}

    def _members(self, index: int, first: int) -> Found:
        """Read "a group of hikers", which says no number, unless one follows."""
        if self._number_at(first) is None:
            return self._refuse_next(first, index, "the prompt says no number of them")
        if self._line.words[index].opens:
            self._subjects.open_until(first)
        return [], first

    def _vague(self, index: int) -> Found:
        line, word = self._line, self._line.lower[index]
        first = index + 2 if line.after(index + 1) == "of" else index + 1
        if line.after(first) == "dozen":
            first += 2 if line.after(first + 1) == "of" else 1
        number = self._number_at(first) if line.after(first) else None
        if number is not None and word == "no":
            return [], number.end
        if number is not None:
            reason = f"'{word}' makes the number a rough one"
            return self._refuse_next(number.end, index, reason, strong=True)
        reason = "'no' is not read as the number 0" if word == "no" else f"'{word}' says no number"
        found, end = self._refuse_next(first, index, reason)
        plural = [reading for reading in found if line.lower[reading.noun].endswith("s")]
        return (plural if word in ("some", "no") else found), end
