"""Prompts rewritten before they are drawn: what shall be counted stays what the user asked for."""

from collections.abc import Callable, Sequence

from numina.errors import PromptError, TargetError
from numina.places import Placed
from numina.prompt.counts import CountTarget, targets_from_counts

# Rewrites a prompt, as a language model does that adds detail.
Enhance = Callable[[str], str]


def enhanced_prompt(prompt: str, targets: Sequence[CountTarget], enhance: Enhance) -> str:
    """Rewrite a prompt, and make sure that its counted nouns can still be found.

    Args:
        prompt: The prompt as given.
        targets: What it counts.
        enhance: Rewrites it.

    Raises:
        PromptError: If the rewriting is no text, is blank, or has lost a counted noun.
    """
    written = enhance(prompt)
    if not isinstance(written, str) or not written.strip():
        raise PromptError(f"enhance must return a text, got {written!r} for {prompt!r}")
    try:
        targets_from_counts(written, counts_of(targets))
    except TargetError as lost:
        raise PromptError(
            f"enhance wrote {written!r}, which no longer names what {prompt!r} counts: {lost}; "
            "make it keep the counted nouns as they stand"
        ) from lost
    return written


def counts_of(targets: Sequence[CountTarget]) -> dict[str, int | Placed]:
    """The counts of targets by their phrases, as ``targets_from_counts`` takes them."""
    return {
        target.phrase: Placed.of(target.parts) if target.places else target.count
        for target in targets
    }
