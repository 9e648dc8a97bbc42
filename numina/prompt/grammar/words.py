"""The words of a prompt, with their places in the text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from unicodedata import normalize

from numina.prompt.grammar.lexicon import CLOSED, CONTRACTIONS
from numina.prompt.grammar.nouns import head_part, is_plural

# In this order: a number with inner signs (3.5, 3,000, 16:9, 1/2); the first of a range (10-12);
# a word of letters, digits and combining marks, joined by hyphens and apostrophes; a pictograph.
_WORD = re.compile(
    r"[0-9]+(?:[.,:/][0-9]+)+\w*"
    r"|[0-9]+(?=[-‐‑][0-9]+\b)"
    r"|[^\W_](?:[^\W_]|[\u0300-\u036f])*(?:[-‐‑'’](?:[^\W_]|[\u0300-\u036f])+)*"
    r"|[\u2600-\u27bf\U0001f300-\U0001faff][\ufe0f\U0001f3fb-\U0001f3ff]*"
    r"(?:\u200d[\u2600-\u27bf\U0001f300-\U0001faff]\ufe0f?)*"
)
_STOPS = re.compile(r"[.!?;\n]")
_POSSESSIVE = re.compile(r"(?i)['’]s?$")


@dataclass(frozen=True)
class Word:
    """One word of a prompt.

    Attributes:
        start: Character offset of its first character.
        end: Offset past its last; a possessive 's belongs to no word.
        text: The word as it stands.
        lower: The word casefolded, with plain hyphens and apostrophes.
        before: Signs between the word before and this one, without the spaces.
        opens: Whether it opens a sentence.
        possessive: Whether a possessive 's or ' follows.
    """

    start: int
    end: int
    text: str
    lower: str
    before: str
    opens: bool
    possessive: bool

    @property
    def noun(self) -> str:
        """The word as a noun: the last part of "air-*balloons*", else all of it."""
        return self.text[self.noun_start - self.start :]

    @property
    def noun_start(self) -> int:
        """Offset of the first character of ``noun``."""
        if head_part(self.lower) == self.lower:
            return self.start
        return self.start + max(self.text.rfind(hyphen) for hyphen in "-‐‑") + 1


def split_words(prompt: str) -> tuple[Word, ...]:
    """Split a prompt into its words; every text has a split, be it an empty one."""
    words: list[Word] = []
    past = 0
    for match in _WORD.finditer(prompt):
        start, end, text = match.start(), match.end(), match.group()
        gap = prompt[past:start]
        before = "".join(gap.split())
        past = end
        possessive = False
        if (tail := _POSSESSIVE.search(text)) and text.lower() not in CONTRACTIONS:
            end, text, possessive = start + tail.start(), text[: tail.start()], True
        elif text.endswith("s") and prompt[end : end + 2] in ("' ", "’ "):
            possessive = "'" not in before and "’" not in before and "‘" not in before
        opens = not words or bool(_STOPS.search(gap))
        lower = normalize("NFKC", text).casefold()
        lower = lower.replace("’", "'").replace("‐", "-").replace("‑", "-")
        words.append(Word(start, end, text, lower, before, opens, possessive))
    return tuple(words)


def is_boundary(words: Sequence[Word], index: int) -> bool:
    """Whether no noun phrase goes on at ``index``: past the end, a closed word, or punctuation."""
    if index >= len(words):
        return True
    word = words[index]
    return word.lower in CLOSED or word.opens or not set(word.before) <= set("\"'“”‘’*+")


def may_be_plural(word: Word) -> bool:
    """Whether the word, as a noun, can be a plural; abbreviations such as "US" are not."""
    if word.text.isupper() and len(word.text) <= 3:
        return False
    return is_plural(word.lower)


@dataclass(frozen=True)
class Line:
    """The words of one prompt, looked at by their neighbours."""

    words: tuple[Word, ...]

    @cached_property
    def lower(self) -> tuple[str, ...]:
        """Every word in lower case."""
        return tuple(word.lower for word in self.words)

    @cached_property
    def title_case(self) -> bool:
        """Whether so many words are capitalised that capitals say nothing."""
        capitals = sum(word.text[:1].isupper() for word in self.words)
        return 2 * capitals > len(self.words)

    def after(self, index: int) -> str:
        """The word at ``index`` if nothing but space stands before it, else an empty string."""
        inside = 0 <= index < len(self.words)
        return self.lower[index] if inside and not self.words[index].before else ""

    def ahead(self, index: int) -> str:
        """The word before ``index`` if nothing but space stands between, else an empty string."""
        return "" if index < 1 or self.words[index].before else self.lower[index - 1]

    def signs(self, index: int) -> str:
        """The signs before the word at ``index``, without spaces; none past the end."""
        return self.words[index].before if index < len(self.words) else ""
