"""How many of what a prompt asks for: "three cats and two dogs" as count targets."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args
from unicodedata import category

from numina.errors import FormatError, PromptError, TargetError
from numina.places import Placed
from numina.prompt.grammar.groups import Group, Refusal, decide_groups, described_by, mentions_of
from numina.prompt.grammar.nouns import same_noun
from numina.prompt.grammar.placing import with_places
from numina.prompt.grammar.readings import Policy, read_counts
from numina.prompt.grammar.words import Line, Word, split_words
from numina.prompt.target import MAX_COUNT, CountTarget, PlacedCount, Span, check_count

__all__ = [
    "Abstention",
    "CountTarget",
    "Policy",
    "abstentions",
    "counts_from_json",
    "parse_counts",
    "targets_from_counts",
    "unplaced",
]


@dataclass(frozen=True)
class Abstention:
    """A noun that the prompt numbers in a way that gives no count.

    Attributes:
        noun: Head noun as it stands in the prompt.
        reason: Why it was not counted, and what to do, in one sentence.
    """

    noun: str
    reason: str


def parse_counts(prompt: str, policy: Policy = "subjects") -> tuple[CountTarget, ...]:
    """Read the counts that an English prompt asks for, by rules alone.

    Numbers that cannot be decided ("two or three cats", "three pairs of shoes") give no target;
    ``abstentions`` names them. "zero cats" is a count of 0, "no cats" is none. A group counted in
    parts ("five balls: two red balls and three blue balls") gives its parts. "Two stars on the left
    and three on the right" are five in two ``places``; a place that may be said of something else
    is left out, and ``unplaced`` names it.

    Args:
        prompt: The prompt, uncleaned; spans are offsets into it.
        policy: ``"explicit"`` reads number words and digits. ``"subjects"`` also reads "pair" and
            the like, "lone" or "single", and "a" before a grammatical subject that is no scenery
            or in a list with something counted ("two balloons and a stick"). ``"all"`` reads every
            "a", with low confidence away from subjects.

    Returns:
        One target for each counted group, in the order of the prompt; empty where none is.

    Raises:
        PromptError: If ``prompt`` is no text or blank.
        TargetError: If ``policy`` is unknown.
    """
    words, groups, _ = _analyse(prompt, policy)
    return tuple(_target(prompt, words, group) for group in groups)


def abstentions(prompt: str, policy: Policy = "subjects") -> tuple[Abstention, ...]:
    """Name the nouns whose number ``parse_counts`` could not decide, and why.

    Args:
        prompt: The prompt, uncleaned.
        policy: As for ``parse_counts``.

    Raises:
        PromptError: If ``prompt`` is no text or blank.
        TargetError: If ``policy`` is unknown.
    """
    words, _, refusals = _analyse(prompt, policy)
    found = []
    for refusal in refusals:
        noun = words[refusal.noun].noun
        found.append(Abstention(noun, f"{refusal.reason}; pass counts={{{noun!r}: <number>}}"))
    return tuple(found)


def unplaced(prompt: str, policy: Policy = "subjects") -> tuple[Abstention, ...]:
    """Name the counted nouns of which the prompt may say where they are, but not for certain.

    Args:
        prompt: The prompt, uncleaned.
        policy: As for ``parse_counts``.

    Raises:
        PromptError: If ``prompt`` is no text or blank.
        TargetError: If ``policy`` is unknown.
    """
    words, groups, _ = _analyse(prompt, policy)
    return tuple(
        Abstention(
            noun := words[group.reading.noun].noun,
            f"{group.reading.place_doubt}; pass counts={{{noun!r}: Placed(left=<number>)}}",
        )
        for group in groups
        if group.reading.place_doubt
    )


def targets_from_counts(prompt: str, counts: Mapping[str, int | Placed]) -> tuple[CountTarget, ...]:
    """Turn counts given by the caller into targets: ``{"red balls": 2, "dogs": 1}``.

    A key is a noun of the prompt, singular or plural, or a phrase of it that ends in the noun. It
    stands for all of its mentions that no longer key takes. In scripts without spaces or cases,
    and for pictographs, a key is any piece of the prompt.

    Args:
        prompt: The prompt, uncleaned; spans are offsets into it.
        counts: How many of each; 0 asks for none. ``Placed(left=2, right=3)`` says where, too;
            a number lets them be anywhere, whatever the prompt says.

    Returns:
        One target for each key, in the order of ``counts``.

    Raises:
        PromptError: If ``prompt`` is no text or blank.
        TargetError: If a count is no whole number of 0 or more, a key is not in the prompt, or two
            keys name the same words.
    """
    _check_prompt(prompt)
    if not isinstance(counts, Mapping):
        raise TargetError(f"counts must map nouns to numbers, got {type(counts).__name__}")
    for key, count in counts.items():
        if not isinstance(key, str) or not key.strip():
            raise TargetError(f"counts must be keyed by nouns of the prompt, got {key!r}")
        for number in [part for _, part in count.parts] if isinstance(count, Placed) else [count]:
            check_count(key, number)
    words = split_words(prompt)
    parsed = parse_counts(prompt, "all")
    places: dict[str, tuple[Span, ...]] = {}
    taken: dict[int, str] = {}
    for key in sorted(counts, key=lambda key: -len(key.split())):
        spans = _find_spans(prompt, words, parsed, key)
        free = tuple(span for span in spans if not taken.keys() & set(range(*span)))
        if not free and spans:
            rival = taken[next(offset for offset in range(*spans[0]) if offset in taken)]
            raise TargetError(f"{key!r} and {rival!r} name the same words of the prompt")
        if not free:
            raise TargetError(_not_found(prompt, words, parsed, key))
        taken.update((offset, key) for span in free for offset in range(*span))
        places[key] = free
    for key in counts:
        places[key] += _bare_mentions(words, counts, key, taken)
    return tuple(
        _given_target(prompt, parsed, key, count, tuple(sorted(places[key])))
        for key, count in counts.items()
    )


def counts_from_json(text: str) -> dict[str, int]:
    """Read counts from a JSON object such as ``{"cats": 3, "dogs": 2}``.

    Args:
        text: One JSON object of nouns and whole numbers.

    Raises:
        FormatError: If ``text`` is no such object, repeats a key, or holds a number that is no
            whole number of 0 or more (NaN, 2.5, 1e400, true).
    """
    refuse = partial(_refuse_number, text)
    try:
        counts = json.loads(
            text, object_pairs_hook=_unique_keys, parse_constant=refuse, parse_float=refuse
        )
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"counts must be one JSON object, got {_excerpt(text)}: {error}"
        ) from error
    if not isinstance(counts, dict):
        raise FormatError(
            f"counts must be a JSON object of nouns and numbers, got {_excerpt(text)}"
        )
    for key, count in counts.items():
        try:
            check_count(key, count)
        except TargetError as error:
            raise FormatError(str(error)) from error
    return counts


def _analyse(
    prompt: str, policy: Policy
) -> tuple[tuple[Word, ...], tuple[Group, ...], tuple[Refusal, ...]]:
    _check_prompt(prompt)
    if policy not in get_args(Policy):
        raise TargetError(f"policy must be one of {get_args(Policy)}, got {policy!r}")
    words = split_words(prompt)
    readings = with_places(Line(words), read_counts(words, policy))
    groups, refusals = decide_groups(words, readings)
    countable = tuple(group for group in groups if group.reading.value <= MAX_COUNT)
    too_many = tuple(
        Refusal(group.reading.noun, f"more than {MAX_COUNT:,} are no count of things in a video")
        for group in groups
        if group.reading.value > MAX_COUNT
    )
    return words, countable, (*refusals, *too_many)


def _target(prompt: str, words: Sequence[Word], group: Group) -> CountTarget:
    reading = group.reading
    noun = words[reading.noun].noun
    spans = tuple(_span(words, first, last) for first, last in group.mentions)
    phrase, attributes = noun, tuple[Span, ...]()
    if group.distinguished:
        name = prompt[words[reading.first].start : words[reading.last].end]
        name = name if reading.last == reading.noun else f"{name} {noun}"
        phrase = " ".join(name.split())
    else:
        before = range(reading.first, reading.noun)
        attributes = tuple(
            _span(words, at, at) for at in before if words[at].lower in reading.attributes
        )
    places = tuple(
        PlacedCount(part.place, part.value) for part in reading.parts if part.place is not None
    )
    return CountTarget(noun, reading.value, spans, group.confidence, phrase, attributes, places)


def _given_target(
    prompt: str,
    parsed: Sequence[CountTarget],
    key: str,
    asked: int | Placed,
    spans: tuple[Span, ...],
) -> CountTarget:
    """The target of a key, in the prompt's own words."""
    parts = asked.parts if isinstance(asked, Placed) else ()
    count = asked.total if isinstance(asked, Placed) else int(asked)
    places = tuple(PlacedCount(place, int(part)) for place, part in parts)
    phrase = prompt[slice(*spans[0])]
    inside = split_words(phrase)
    noun = inside[-1].noun if inside and len(split_words(key)) == len(inside) else phrase
    found = CountTarget(noun, count, spans, 1.0, " ".join(phrase.split()), places=places)
    for target in parsed:
        if target.spans[0] != spans[0]:
            continue
        if target.phrase != target.noun:
            return replace(found, noun=target.noun, phrase=target.phrase)
        found = replace(found, attributes=target.attributes)
    return found


def _find_spans(
    prompt: str, words: Sequence[Word], parsed: Sequence[CountTarget], key: str
) -> tuple[Span, ...]:
    """Every place of the prompt that a key of ``counts`` names."""
    if any(category(sign) in ("Lo", "So") for sign in key):
        return _find_text(prompt, key.strip())
    named = [word.lower for word in split_words(key)]
    for target in parsed:
        if target.phrase != target.noun and _same_phrase(split_words(target.phrase), named):
            return target.spans
    if len(named) == 1:
        anchors = [at for at, word in enumerate(words) if same_noun(word.lower, named[0])]
        exact = [at for at in anchors if words[at].lower == named[0]]
        if anchors:
            found = mentions_of(words, (exact or anchors)[0])
            return tuple(_span(words, at, at) for at in found)
        if parts := _hyphen_parts(words, named[0]):
            return parts
    elif named:
        size = len(named)
        starts = [at for at in range(len(words)) if _same_phrase(words[at : at + size], named)]
        if starts:
            return tuple((words[at].start, words[at + size - 1].end) for at in starts)
    return ()


def _bare_mentions(
    words: Sequence[Word], counts: Iterable[str], key: str, taken: Mapping[int, str]
) -> tuple[Span, ...]:
    """Mentions of the noun of a phrase without its attributes, where none can mean others.

    "red balls" owns "the balls" too, unless the prompt or another key speaks of other balls.
    """
    *named, noun = [word.lower for word in split_words(key)] or [""]
    heads = [split_words(other)[-1:] for other in counts if other != key]
    if not named or any(same_noun(head.lower, noun) for (head,) in filter(None, heads)):
        return ()
    found = [at for at, word in enumerate(words) if same_noun(word.lower, noun)]
    if any(set(described_by(words, at)) - set(named) for at in found):
        return ()
    spans = [_span(words, at, at) for at in found]
    return tuple(span for span in spans if not taken.keys() & set(range(*span)))


def _span(words: Sequence[Word], first: int, last: int) -> Span:
    """From the first word to the last; of a hyphenated noun alone only its head."""
    return (words[first].noun_start if first == last else words[first].start), words[last].end


def _hyphen_parts(words: Sequence[Word], named: str) -> tuple[Span, ...]:
    """Places of a key that is one part of a hyphenated word."""
    return tuple(
        (word.start + part.start(), word.start + part.end())
        for word in words
        for part in re.finditer(r"[^-‐‑]+", word.text)
        if part.end() - part.start() < len(word.text) and same_noun(part[0].casefold(), named)
    )


def _find_text(prompt: str, key: str) -> tuple[Span, ...]:
    """Places of a key that is written without spaces between words, or is a pictograph."""
    spans: list[Span] = []
    at = prompt.find(key)
    while at >= 0:
        spans.append((at, at + len(key)))
        at = prompt.find(key, at + len(key))
    return tuple(spans)


def _same_phrase(words: Sequence[Word], named: Sequence[str]) -> bool:
    if len(words) != len(named) or not named:
        return False
    lead = all(word.lower == name for word, name in zip(words, named[:-1], strict=False))
    return lead and same_noun(words[-1].lower, named[-1])


def _not_found(prompt: str, words: Sequence[Word], parsed: Sequence[CountTarget], key: str) -> str:
    nouns = [target.phrase for target in parsed]
    nouns += [left.noun for left in abstentions(prompt, "all") if left.noun not in nouns]
    found = ", ".join(map(repr, nouns)) or "none"
    message = f"{key!r} is not in the prompt; nouns found there: {found}"
    candidates = {name.casefold(): name for name in [*(word.text for word in words), *nouns]}
    nearest = get_close_matches(key.casefold(), candidates, n=1)
    return f"{message}; did you mean {candidates[nearest[0]]!r}?" if nearest else message


def _check_prompt(prompt: str) -> None:
    if not isinstance(prompt, str):
        raise PromptError(f"prompt must be a string, got {type(prompt).__name__}")
    if not prompt.strip():
        raise PromptError(f"prompt must hold some text, got {_excerpt(prompt)}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise FormatError(f"counts name {key!r} twice")
        found[key] = value
    return found


def _refuse_number(text: str, number: str) -> Any:
    raise FormatError(f"counts must be whole numbers, got {number} in {_excerpt(text)}")


def _excerpt(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
