"""Where a noun phrase begins and ends, and which of its words is the head noun."""

from collections.abc import Sequence
from dataclasses import dataclass

from numina.prompt.grammar.lexicon import (
    ARTICLES,
    CLOSED,
    NOUN_ADJECTIVES,
    is_adjective,
    is_adverb,
    is_base_verb,
    is_deed,
    is_gerund,
    is_participle,
    is_past_verb,
    is_s_verb,
)
from numina.prompt.grammar.numerals import is_number_word
from numina.prompt.grammar.uncounted import LABELS
from numina.prompt.grammar.words import Word, is_boundary, may_be_plural

# Longest noun phrase that is looked through, in words.
_REACH = 9
# Plural in form, but modifiers where another word follows: "two sports cars".
_S_MODIFIERS = frozenset(
    "sports arms goods games customs jeans news sales savings systems arts robotics graphics "
    "electronics ceramics athletics gymnastics mars christmas texas paris glass brass".split()
)
_ONES = frozenset("one ones".split())


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase after a numeral or an article.

    Attributes:
        first: Index of its first word, the numeral left out.
        head: Index of the head noun; None where the noun is left unsaid ("two red and …").
        end: Index of the first word after what was read.
        agrees: Whether the head has the form, singular or plural, that the number asks for.
        finite: Whether a finite verb follows, so that the phrase is a subject.
    """

    first: int
    head: int | None
    end: int
    agrees: bool = True
    finite: bool = False


def plural_phrase(words: Sequence[Word], first: int) -> NounPhrase | None:
    """Read the noun phrase after a number other than one: "two *hot air balloons*".

    The head is the first word that can be a plural; where none can, the last word before a verb
    or a boundary ("three *koi*"), and the phrase does not agree.

    Returns:
        None where no word of a phrase follows.
    """
    index, run = first, []
    while index < min(len(words), first + _REACH):
        crossed = _cross_joint(words, first, index)
        if crossed is None and words[index].before == "," and is_adjective(words[index].lower):
            crossed = index
        if crossed is None or _is_other_number(words, crossed):
            break
        index = crossed
        word = words[index]
        if may_be_plural(word) and not _modifies_next(words, index):
            return NounPhrase(first, index, index + 1)
        run.append(index)
        index += 1
    return _without_plural(words, first, index, run)


def singular_phrase(
    words: Sequence[Word], first: int, *, numerals: bool = False, joined: bool = False
) -> NounPhrase | None:
    """Read the noun phrase after "one", "a" or "single": "a *small dog* runs".

    Args:
        words: The words of the prompt.
        first: Index of the first word after the numeral or article.
        numerals: Whether a numeral may be a modifier, as in "a two story house".
        joined: Whether the phrase ends a list, so that its verb has no -s: "and a girl fly a kite".

    Returns:
        None where no noun follows.
    """
    index, head, noun_seen, finite = first, None, False, False
    while index < min(len(words), first + _REACH):
        crossed = _cross_joint(words, first, index) if not noun_seen else index
        if crossed is None or (noun_seen and is_boundary(words, index)):
            break
        index = crossed
        word = words[index]
        if is_number_word(word.lower):
            if not numerals or is_boundary(words, index + 1):
                break
        elif noun_seen and (
            (joined and is_base_verb(word.lower)) or is_deed(word.lower, words[index - 1].lower)
        ):
            break
        elif is_adverb(word.lower):
            if noun_seen:
                finite = not is_boundary(words, index + 1) and is_s_verb(words[index + 1].lower)
                break
        elif may_be_plural(word) and word.lower[-1] == "s" and not word.possessive:
            if noun_seen and (is_s_verb(word.lower) or not _modifies_next(words, index)):
                finite = True
                break
            if index == first and is_s_verb(word.lower):
                break
            if is_boundary(words, index + 1) and head is None:
                return NounPhrase(first, index, index + 1, agrees=False)
        elif is_gerund(word.lower) or _is_past(words, index):
            if noun_seen and (is_gerund(word.lower) or _ends_clause(words, index)):
                break
            if is_boundary(words, index + 1):
                break
        elif not word.possessive:
            head = index
            noun_seen = noun_seen or not is_adjective(word.lower)
        index += 1
    if head is None:
        return NounPhrase(first, None, index) if index > first else None
    if index < len(words) and words[index].lower in ("is", "was", "has", "can", "are"):
        finite = finite or not words[index].before
    if not noun_seen and words[head].lower not in NOUN_ADJECTIVES:
        return NounPhrase(first, None, index)
    return NounPhrase(first, head, head + 1, finite=finite)


def attributes(words: Sequence[Word], phrase: NounPhrase) -> tuple[str, ...]:
    """Lower-case words of the phrase before its head, without conjunctions."""
    stop = phrase.end if phrase.head is None else phrase.head
    return tuple(word.lower for word in words[phrase.first : stop] if word.lower not in CLOSED)


def _cross_joint(words: Sequence[Word], first: int, index: int) -> int | None:
    """Index from which the phrase goes on, past "and" or a comma between two adjectives."""
    word = words[index]
    if index == first:
        return None if is_boundary(words, index) else index
    after_adjective = is_adjective(words[index - 1].lower)
    if word.lower in ("and", "but", "or") and not word.before:
        joined = after_adjective and not is_boundary(words, index + 1)
        return index + 1 if joined else None
    if word.before == "," and not word.opens and word.lower not in CLOSED:
        return index if after_adjective else None
    if word.before == "," and word.lower == "and" and after_adjective:
        return None if is_boundary(words, index + 1) else index + 1
    return None if is_boundary(words, index) else index


def _is_other_number(words: Sequence[Word], index: int) -> bool:
    """Whether a numeral begins here that is no part of a name: "six Formula *1* cars"."""
    return is_number_word(words[index].lower) and words[index - 1].lower not in LABELS


def _modifies_next(words: Sequence[Word], index: int) -> bool:
    """Whether a word of plural form is only a modifier of the next: "sports cars"."""
    word = words[index]
    if is_boundary(words, index + 1):
        return False
    following = words[index + 1]
    if word.possessive:
        return not word.lower.endswith("s")
    if word.lower in _S_MODIFIERS:
        return True
    if word.lower.endswith("s"):
        return False
    return may_be_plural(following) and not is_s_verb(following.lower)


def _without_plural(
    words: Sequence[Word], first: int, end: int, run: Sequence[int]
) -> NounPhrase | None:
    """The phrase where no word can be a plural: "three koi swim", or no noun at all: "two red"."""
    if not run:
        return None
    content: list[int] = []
    for index in run:
        word = words[index].lower
        if content and (is_gerund(word) or is_base_verb(word) or is_adverb(word)):
            break
        if content and _is_past(words, index) and _ends_clause(words, index):
            break
        if not is_adverb(word):
            content.append(index)
    nouns = [index for index in content if not is_adjective(words[index].lower)]
    if not nouns:
        return NounPhrase(first, None, end, agrees=False)
    head = nouns[-1]
    verbal = is_base_verb(words[head].lower) and head == first
    if verbal or words[head].lower in _ONES:
        return NounPhrase(first, None, end, agrees=False)
    return NounPhrase(first, head, head + 1, agrees=False)


def _is_past(words: Sequence[Word], index: int) -> bool:
    word = words[index].lower
    return is_past_verb(word) or (is_participle(word) and not is_gerund(word))


def _ends_clause(words: Sequence[Word], index: int) -> bool:
    """Whether what follows the verb shows that it is one: a boundary, an article, a number."""
    if is_boundary(words, index + 1):
        return True
    following = words[index + 1].lower
    return following in ARTICLES or is_number_word(following) or is_adverb(following)
