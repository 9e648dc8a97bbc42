"""Numerals of English prose: the number that stands at a word, in words or in digits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

UNITS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
SCALES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000}

# Nouns that hold a number of things; "pair" and "couple" are read by their own rules as well.
ENSEMBLES = {
    "pair": 2,
    "couple": 2,
    "duo": 2,
    "twosome": 2,
    "trio": 3,
    "threesome": 3,
    "quartet": 4,
    "foursome": 4,
    "quintet": 5,
    "sextet": 6,
    "septet": 7,
    "octet": 8,
}

# "3", "40" and "3,000"; not "007", which is a name, nor numbers too long to be meant as counts.
_DIGITS = re.compile(r"0|[1-9][0-9]{0,6}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,2}")


@dataclass(frozen=True)
class Number:
    """A numeral in a sequence of words.

    Attributes:
        value: The number, 0 or more.
        end: Index of the first word after it.
        digits: Whether it is written in digits.
    """

    value: int
    end: int
    digits: bool = False


def read_number(words: Sequence[str], start: int) -> Number | None:
    """Read the numeral whose first word is ``words[start]``, None where there is none.

    Knows "three", "twenty-one", "twenty one", "a hundred and one", "half a dozen", "two dozen",
    "3" and "3,000". Mixed words such as "3D", "1990s", "2nd" and "two-story" are no numerals, and
    neither is a bare "a".

    Args:
        words: Lower-case words, without the punctuation between them.
        start: Index of the first word.
    """
    word = words[start]
    if _DIGITS.fullmatch(word):
        number = Number(int(word.replace(",", "")), start + 1, digits=True)
        return _scaled(words, number)
    if (half := _half_dozen(words, start)) is not None:
        return half
    if word in ("a", "an") and start + 1 < len(words) and words[start + 1] in SCALES:
        return _scaled(words, Number(1, start + 1))
    if word in SCALES:
        return _scaled(words, Number(1, start))
    small = _below_hundred(words, start)
    return None if small is None else _scaled(words, small)


def is_number_word(word: str) -> bool:
    """Whether ``word`` alone is a numeral in words or digits, hyphens included."""
    return word in SCALES or read_number([word], 0) is not None


def _half_dozen(words: Sequence[str], start: int) -> Number | None:
    for pattern in (("half-dozen",), ("half", "dozen"), ("half", "a", "dozen")):
        lead = 1 if words[start] == "a" else 0
        end = start + lead + len(pattern)
        if tuple(words[start + lead : end]) == pattern:
            return Number(6, end)
    return None


def _below_hundred(words: Sequence[str], start: int) -> Number | None:
    word = words[start]
    if word in UNITS:
        return Number(UNITS[word], start + 1)
    tens, _, unit = word.partition("-")
    if tens not in TENS:
        return None
    if unit:
        return Number(TENS[tens] + UNITS[unit], start + 1) if 1 <= UNITS.get(unit, 0) < 10 else None
    following = words[start + 1] if start + 1 < len(words) else ""
    if 1 <= UNITS.get(following, 0) < 10:
        return Number(TENS[tens] + UNITS[following], start + 2)
    return Number(TENS[tens], start + 1)


def _scaled(words: Sequence[str], number: Number) -> Number:
    """Multiply by the scales that follow, and add what stands after a hundred or thousand."""
    value, end, scale = number.value, number.end, 0
    while end < len(words) and words[end] in SCALES:
        scale = SCALES[words[end]]
        value, end = value * scale, end + 1
    if scale >= 100:
        tail = end + 1 if end < len(words) and words[end] == "and" else end
        rest = _below_hundred(words, tail) if tail < len(words) else None
        if rest is not None and 0 < rest.value < scale:
            rest = _scaled(words, rest)
            if rest.value < scale:
                value, end = value + rest.value, rest.end
    return Number(value, end, number.digits)
