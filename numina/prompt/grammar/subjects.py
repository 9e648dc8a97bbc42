"""Which noun phrases of a prompt are grammatical subjects, and so meant to be seen."""

from numina.prompt.grammar.lexicon import ARTICLES, CONJUNCTIONS, DEFINITE, PREPOSITIONS
from numina.prompt.grammar.number_sense import IMPERATIVES
from numina.prompt.grammar.phrases import NounPhrase
from numina.prompt.grammar.uncounted import MEDIA, PICTURES
from numina.prompt.grammar.words import Line

SHOWING = frozenset(
    "of showing showcasing featuring depicting capturing containing shows features depicts "
    "captures with where".split()
)


class Subjects:
    """Follows the subjects through one prompt, for "a cat, a dog *and two birds*"."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._end = -1

    def note(self, index: int, phrase: NounPhrase) -> bool:
        """Tell whether the phrase whose number or article stands at ``index`` is a subject.

        A subject opens a sentence, is joined to one that does, follows "a photo of", "there is",
        "while" or an opening phrase of place, or has a finite verb behind it.
        """
        found = self._is_subject(index, phrase)
        if found:
            self._end = phrase.end
        return found

    def open_until(self, end: int) -> None:
        """Join what follows ``end`` to a counted phrase: "two balloons *and a stick*"."""
        self._end = end

    def _is_subject(self, index: int, phrase: NounPhrase) -> bool:
        line, start = self._line, index
        while start > 0 and line.ahead(start) in ARTICLES | DEFINITE | IMPERATIVES:
            start -= 1
        before = line.lower[start - 1] if start else ""
        if line.words[start].opens or self._joins_last(start):
            return True
        if before in SHOWING and self._names_medium(start - 2):
            return True
        if before in ("there's", "here's", "while", "whilst", "when", "where"):
            return True
        if before in ("is", "are", "was", "were") and line.ahead(start - 1) in ("there", "here"):
            return True
        if line.signs(start) == "," and self._is_fronted(start):
            return True
        return phrase.finite and (before in CONJUNCTIONS or bool(line.signs(start)))

    def _joins_last(self, start: int) -> bool:
        """Whether only "and" or a comma lies between the last subject and this phrase."""
        between = self._line.lower[self._end : start] if 0 <= self._end <= start else ("",)
        if set(between) - {"and", "plus"}:
            return False
        return bool(between) or self._line.signs(start) in (",", "&", "+")

    def _names_medium(self, index: int) -> bool:
        """Whether the words up to ``index`` are "a photo", "a close up", "a scene"."""
        if index < 0:
            return False
        word, opening = self._line.lower[index], self._opening(index)
        medium = word in MEDIA | PICTURES or (word == "up" and self._line.ahead(index) == "close")
        lead = set(self._line.lower[opening:index])
        return medium and index - opening < 7 and not lead & PREPOSITIONS

    def _is_fronted(self, start: int) -> bool:
        """Whether the sentence so far is one phrase of place or time: "In a park, …"."""
        opening = self._opening(start - 1)
        return self._end <= opening and self._line.lower[opening] in PREPOSITIONS

    def _opening(self, index: int) -> int:
        """Index of the first word of the sentence."""
        while index > 0 and not self._line.words[index].opens:
            index -= 1
        return index
