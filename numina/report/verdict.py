"""The verdict: one or two plain sentences on what was asked, what was drawn and what was done."""

from dataclasses import dataclass
from typing import Literal

from numina.places import told
from numina.record import TargetRecord
from numina.report.story import RunStory, Tally, TargetTally

Outcome = Literal["right", "mended", "wrong", "open"]
"""Right from the start, put right, not right, or not known."""

_WORDS = (
    "none", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What a reader should know after ten seconds.

    Attributes:
        found: What was asked for, and what the model drew.
        done: What numina did, and whether that helped.
        outcome: The same as one word.
    """

    found: str
    done: str
    outcome: Outcome

    @property
    def sentence(self) -> str:
        """Both parts in one line."""
        return f"{self.found} {self.done}"


def number_word(count: int) -> str:
    """``3`` as "three"; figures above twelve."""
    return _WORDS[count] if count < len(_WORDS) else str(count)


def span_words(tally: Tally) -> str:
    """The counts of all frames in words: "two", or "two to three" where they differ."""
    low, high = min(tally.counts), max(tally.counts)
    return number_word(low) if low == high else f"{number_word(low)} to {number_word(high)}"


def judge(story: RunStory) -> Verdict:
    """Write the verdict of a run.

    The sentences never claim more than the counts show: an edit that did not reach its count is
    told as an attempt, a planned count as a plan.
    """
    targets = story.report.targets
    if not targets:
        return Verdict("Nothing to count in this prompt.", "The video is the model's own.", "open")
    asked = _listed(
        [
            f"{'no' if t.count == 0 else number_word(t.count)} {t.phrase}"
            + (f" ({told(t.places)})" if t.places else "")
            for t in targets
        ]
    )
    befores = [tally.before for tally in story.tallies if tally.before is not None]
    if len(befores) < len(targets):
        return Verdict(f"Asked for {asked}; nothing could be counted.", _reason(story), "open")
    drew = "the model drew" if befores[0].source == "counter" else "the model's layout showed"
    found = f"Asked for {asked}; {drew} {_listed([span_words(tally) for tally in befores])}."
    if story.report.decision == "guided":
        done, outcome = _guided(targets, story.tallies)
    else:
        done, outcome = _left_alone(story, befores)
    if any(target.places for target in targets) and story.report.decision != "continued":
        # Counts of the video do not say where its instances are.
        return Verdict(found, f"{done} Where they are was asked, too, and not judged here.", "open")
    return Verdict(found, done, outcome)


def _left_alone(story: RunStory, befores: list[Tally]) -> tuple[str, Outcome]:
    right = all(
        tally.is_always(target.count)
        for target, tally in zip(story.report.targets, befores, strict=True)
    )
    if story.report.decision == "unguided":
        return f"numina changed nothing: {_reason(story)}", "right" if right else "wrong"
    if right:
        return "Nothing had to be changed.", "right"
    return "numina took that for right and changed nothing.", "wrong"


def _guided(
    targets: tuple[TargetRecord, ...], tallies: tuple[TargetTally, ...]
) -> tuple[str, Outcome]:
    pairs = [
        (target, tally.before, tally.after)
        for target, tally in zip(targets, tallies, strict=True)
        if tally.before is not None and tally.after is not None
    ]
    asked = [target.count for target, _, _ in pairs]
    missing = [target.count - before.typical for target, before, _ in pairs]
    was_right = all(before.is_always(target.count) for target, before, _ in pairs)
    if any(after.source == "plan" for _, _, after in pairs):
        return f"numina guided the run to {_listed([number_word(c) for c in asked])}.", "open"
    if all(after.is_always(target.count) for target, _, after in pairs):
        if was_right:
            return "numina guided it all the same, and the count stayed right.", "right"
        return f"numina {_changes(missing, 'added', 'removed') or 'steadied the count'}.", "mended"
    frames = len(pairs[0][2].counts)
    good = sum(
        all(after.counts[frame] == target.count for target, _, after in pairs)
        for frame in range(frames)
    )
    if good:
        result = f"; the video is right in {good} of {frames} frames"
    else:
        result = f", but the video shows {_listed([span_words(after) for _, _, after in pairs])}"
    if was_right:
        return f"numina misread that and changed it{result}.", "wrong"
    return f"numina tried to {_changes(missing, 'add', 'remove') or 'steady it'}{result}.", "wrong"


def _changes(missing: list[int], add: str, remove: str) -> str:
    """What had to be done over all nouns: "added two and removed one"."""
    more = sum(number for number in missing if number > 0)
    fewer = -sum(number for number in missing if number < 0)
    parts = [f"{verb} {number_word(n)}" for verb, n in ((add, more), (remove, fewer)) if n]
    return _listed(parts)


def _reason(story: RunStory) -> str:
    reason = story.report.reason.strip() or "no reason was recorded"
    return reason if reason.endswith((".", "!", "?")) else f"{reason}."


def _listed(parts: list[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
