"""From single readings to counted groups: one number for each noun, and all of its mentions."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from numina.places import covered_place
from numina.prompt.grammar.lexicon import ARTICLES, DEFINITE, PREPOSITIONS, is_adjective
from numina.prompt.grammar.nouns import same_noun
from numina.prompt.grammar.numerals import is_number_word
from numina.prompt.grammar.readings import Reading
from numina.prompt.grammar.words import Word, is_boundary

# Attributes that tell no group apart: "three cats and two more cats".
_ORDINALS = {
    word: place
    for place, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth".split(), start=1
    )
}
_ADDING = frozenset("more other another additional extra different similar same remaining".split())


@dataclass(frozen=True)
class Group:
    """Things of one kind that the prompt gives one number.

    Attributes:
        reading: What says the number.
        confidence: From 0 to 1.
        distinguished: Whether only its attributes tell it from another group of the same noun.
        mentions: First and last word of every mention, in the order of the prompt.
    """

    reading: Reading
    confidence: float
    distinguished: bool
    mentions: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Refusal:
    """A noun whose number cannot be told: the index of its word, and why."""

    noun: int
    reason: str


def decide_groups(
    words: Sequence[Word], readings: Sequence[Reading]
) -> tuple[tuple[Group, ...], tuple[Refusal, ...]]:
    """Give every noun one number, several numbers by attributes, or a reason why not.

    A number repeated with "the", and "one" of a larger number said before, are mentions. A total
    that equals its parts yields to them where attributes name them. Other contradictions refuse.

    Args:
        words: The words of the prompt.
        readings: What ``read_counts`` found there.
    """
    groups: list[Group] = []
    refusals: list[Refusal] = []
    for cluster in _by_noun(words, readings):
        kept, reason = _settle(words, cluster)
        if reason:
            refusals.append(Refusal(cluster[0].noun, reason))
            continue
        for reading in kept:
            rivals = [other for other in kept if other is not reading]
            confidence = reading.confidence
            if rivals and not reading.attributes:
                confidence *= 0.8
            mentions = _apart(_mentions(words, reading, rivals, readings))
            groups.append(Group(reading, confidence, _stands_out(reading, rivals), mentions))
    groups.sort(key=lambda group: (group.reading.noun, group.reading.first))
    return tuple(groups), tuple(refusals)


def mentions_of(words: Sequence[Word], anchor: int, skip: Iterable[int] = ()) -> list[int]:
    """Index of every word that mentions the noun ``words[anchor]``, singular or plural.

    A form other than the anchor's counts only where it stands like a noun, so that "to fly" is no
    mention of "flies".
    """
    noun, skipped = words[anchor].lower, set(skip)
    found = []
    for index, word in enumerate(words):
        if index in skipped or not same_noun(noun, word.lower):
            continue
        if index == anchor or word.lower == noun or _stands_as_noun(words, index):
            found.append(index)
    return found


def described_by(words: Sequence[Word], noun: int) -> list[str]:
    """The lower-case words before a noun that may describe it; numbers and articles do not."""
    return [words[at].lower for at in _modifiers(words, noun)]


def _by_noun(words: Sequence[Word], readings: Sequence[Reading]) -> list[list[Reading]]:
    clusters: list[list[Reading]] = []
    for reading in readings:
        noun = words[reading.noun].lower
        for cluster in clusters:
            if same_noun(words[cluster[0].noun].lower, noun):
                cluster.append(reading)
                break
        else:
            clusters.append([reading])
    return clusters


def _settle(words: Sequence[Word], cluster: Sequence[Reading]) -> tuple[list[Reading], str]:
    """The readings of one noun that stand, or the reason why none does."""
    for reading in cluster:
        if reading.strong:
            return [], reading.reason
    counts = [reading for reading in cluster if not reading.reason]
    if not counts:
        return [], cluster[0].reason
    kept, reason = _shared_out(_without_repeats(counts))
    if reason:
        return [], reason
    total, parts = kept[0], kept[1:]
    if len(parts) > 1 and total.value == sum(part.value for part in parts):
        kept = parts if _told_apart(parts) and all(part.attributes for part in parts) else [total]
    if len(kept) == 1:
        return kept, _another(words, kept[0])
    if any((_ADDING | _ORDINALS.keys()) & set(reading.attributes) for reading in kept):
        return [], "the prompt adds more of them to a number said elsewhere"
    if _told_apart(kept):
        return kept, ""
    numbers = " and ".join(str(reading.value) for reading in kept)
    return [], f"the prompt gives the numbers {numbers}"


def _without_repeats(counts: Sequence[Reading]) -> list[Reading]:
    """Drop readings that only speak again of a group that was counted before."""
    kept: list[Reading] = []
    for reading in counts:
        again = any(
            reading.place in (None, earlier.place)
            and (
                (reading.definite and earlier.value == reading.value)
                or (reading.value == 1 < earlier.value and _is_one_of(reading, earlier))
            )
            for earlier in kept
        )
        if not again:
            kept.append(reading)
    return kept


def _shared_out(readings: Sequence[Reading]) -> tuple[list[Reading], str]:
    """One reading for each group that is said to be in several places, or why there is none."""
    groups: dict[tuple[str, ...], list[Reading]] = {}
    for reading in readings:
        names = tuple(name for name in reading.attributes if name not in _ADDING)
        groups.setdefault(names if reading.place else reading.attributes, []).append(reading)
    shared: list[Reading] = []
    for names, same in groups.items():
        parts = tuple(reading for reading in same if reading.place is not None)
        totals = [reading for reading in same if reading.place is None]
        if not parts or len(totals) > 1:
            shared += same
            continue
        if len({part.place for part in parts}) < len(parts):
            return [], f"the prompt gives two numbers for them {_twice(parts)}"
        covered = covered_place([part.place for part in parts if part.place is not None])
        if covered is not None:
            return [], f"nothing is left {covered.phrase} beside the other places"
        whole = sum(part.value for part in parts)
        if totals and totals[0].value < whole:
            return [], f"the prompt gives the numbers {totals[0].value} and {whole}"
        if totals and totals[0].value > whole:
            doubt = f"the prompt says of {whole} of them only where they are"
            shared.append(replace(totals[0], place_doubt=doubt))
        else:
            shared.append(replace(same[0], value=whole, attributes=names, parts=parts))
    return shared, ""


def _twice(parts: Sequence[Reading]) -> str:
    places = [part.place.phrase for part in parts if part.place is not None]
    return next(place for place in places if places.count(place) > 1)


def _is_one_of(reading: Reading, earlier: Reading) -> bool:
    """Whether "one" speaks of one of several things that were counted before."""
    places = [_ORDINALS[word] for word in reading.attributes if word in _ORDINALS]
    if places:
        return max(places) <= earlier.value
    return not reading.attributes or not (earlier.attributes or reading.joined or reading.article)


def _told_apart(readings: Sequence[Reading]) -> bool:
    names = [reading.attributes for reading in readings]
    return len(set(names)) == len(names)


def _another(words: Sequence[Word], reading: Reading) -> str:
    """Why a later "another cat", "third cat" after two, or "other cat" after one, is one more."""
    for index in mentions_of(words, reading.noun):
        if index == reading.noun:
            continue
        leads = described_by(words, index)
        start = index - len(leads)
        before = words[start - 1].lower if start and not words[start].before else ""
        beyond = any(_ORDINALS.get(lead, 0) > reading.value for lead in leads)
        if before == "another" or beyond or ("other" in leads and reading.value == 1):
            return "the prompt adds another one"
    return ""


def _stands_out(reading: Reading, rivals: Sequence[Reading]) -> bool:
    return bool(rivals and reading.attributes)


def _mentions(
    words: Sequence[Word],
    reading: Reading,
    rivals: Sequence[Reading],
    readings: Sequence[Reading],
) -> Iterator[tuple[int, int]]:
    own = (reading.first, reading.last) if _stands_out(reading, rivals) else (reading.noun,) * 2
    yield own
    modifiers = {
        index
        for other in readings
        for index in range(other.first, other.last)
        if not same_noun(words[other.noun].lower, words[reading.noun].lower)
    }
    if not rivals:
        for index in mentions_of(words, reading.noun, modifiers):
            yield index, index
        return
    counted = {reading.noun, *(rival.noun for rival in rivals)}
    theirs = {word for rival in rivals for word in rival.attributes}
    mine = set(reading.attributes) - theirs
    theirs -= set(reading.attributes)
    for index in mentions_of(words, reading.noun, modifiers | counted):
        leads = [at for at in _modifiers(words, index) if words[at].lower in mine | theirs]
        if leads and all(words[at].lower in mine for at in leads):
            yield leads[0], index


def _apart(mentions: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The mentions in order, without those that overlap an earlier find."""
    kept: list[tuple[int, int]] = []
    for first, last in mentions:
        if all(last < other_first or other_last < first for other_first, other_last in kept):
            kept.append((first, last))
    return tuple(sorted(kept))


def _modifiers(words: Sequence[Word], noun: int) -> list[int]:
    """Indices of the words before a noun that may describe it."""
    start = noun
    while start > 0 and noun - start < 4 and not is_boundary(words, start):
        lead = words[start - 1].lower
        if is_boundary(words, start - 1) and not words[start - 1].opens:
            break
        if is_number_word(lead) or lead in DEFINITE or lead in ARTICLES:
            break
        start -= 1
    return list(range(start, noun))


def _stands_as_noun(words: Sequence[Word], index: int) -> bool:
    word = words[index]
    if word.opens or word.possessive or index == 0:
        return True
    before = words[index - 1].lower
    if before == "to" or word.before:
        return False
    return (
        before in ARTICLES
        or before in DEFINITE
        or before in PREPOSITIONS
        or before == "and"
        or is_adjective(before)
        or is_number_word(before)
    )
