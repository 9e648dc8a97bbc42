"""What is asked for: the prompts of a call, the counts in them, and where the nouns stand."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from numina.attention.text import Text
from numina.errors import PromptError
from numina.integrations import Adapter
from numina.places import Placed
from numina.prompt.counts import CountTarget, Policy, parse_counts, targets_from_counts
from numina.prompt.enhancement import Enhance, counts_of, enhanced_prompt
from numina.prompt.tokens import fitted_length, key_groups, locate_tokens
from numina.refine.quotas import Parts

Asked = Mapping[str, int | Placed]
Counts = Asked | Sequence[Asked] | Literal["auto", "required"]


@dataclass(frozen=True)
class Row:
    """One video of the batch.

    Attributes:
        prompt: Its prompt.
        targets: The nouns to count; may be empty.
        positions: Token positions of each of them.
    """

    prompt: str
    targets: tuple[CountTarget, ...]
    positions: tuple[tuple[int, ...], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """The number asked for, per noun."""
        return tuple(target.count for target in self.targets)

    @property
    def places(self) -> tuple[Parts, ...]:
        """How the count of each noun is shared among places; empty if none of them is."""
        parts = tuple(target.parts for target in self.targets)
        return parts if any(parts) else ()


@dataclass(frozen=True)
class CountRequest:
    """All videos of a pipeline call.

    Attributes:
        rows: One entry per video: ``num_videos_per_prompt`` in a row for each prompt.
        num_keys: Text keys the model attends to.
        may_fold: Whether the text padding stays the same over the steps.
    """

    rows: tuple[Row, ...]
    num_keys: int
    may_fold: bool = True

    @property
    def num_nouns(self) -> int:
        """The most nouns that any video counts."""
        return max(len(row.targets) for row in self.rows)

    def text(self) -> Text:
        """The nouns of every text key, for the attention layers."""
        groups = key_groups([row.positions for row in self.rows], self.num_keys, self.num_nouns)
        return Text(groups, self.may_fold)


def resolve_request(
    pipe: Any,
    prompt: str | Sequence[str],
    counts: Counts,
    policy: Policy,
    adapter: Adapter,
    call: Mapping[str, Any],
) -> CountRequest:
    """Find out what to count, before any work is done.

    Args:
        pipe: The pipeline; its tokenizer and its defaults are read.
        prompt: One prompt or a list of them.
        counts: ``"auto"`` reads the prompt; ``"required"`` too, and refuses a prompt without
            counts; a mapping (or one per prompt) says how many of which noun or phrase, and, as a
            ``Placed``, where.
        policy: Which articles count as "one", see ``parse_counts``.
        adapter: Tells what the pipeline does to a prompt before it is tokenized.
        call: The other keyword arguments of the pipeline call.

    Raises:
        PromptError: Without a prompt, or without counts where they are required.
        TargetError: If a count cannot be meant, or its noun is not in the prompt.
        UnsupportedModelError: If the tokens of the prompt cannot be found.
    """
    embedded = any(call[name] is not None for name in call if name.startswith("prompt_embeds"))
    if prompt is None or embedded:
        raise PromptError(
            "counting needs the prompt itself, because it must know which token names which noun; "
            "pass prompt= instead of prompt_embeds="
        )
    frame, tokenizer = adapter.prompt_frame(pipe, call), adapter.tokenizer(pipe)
    max_length = frame.length or call.get(
        "max_sequence_length", default_of(pipe, "max_sequence_length", 512)
    )
    rows = []
    for text, wish in _wishes(prompt, counts):
        targets = _targets(text, wish, policy)
        positions = locate_tokens(
            text,
            targets,
            tokenizer,
            max_length=max_length,
            clean=partial(adapter.clean_prompt, call=call),
            frame=frame,
        )
        rows += [Row(text, targets, positions)] * call.get("num_videos_per_prompt", 1)
    changing = call.get("callback_on_step_end_tensor_inputs") or ()
    num_keys = max_length + frame.keys_behind
    if frame.fitted:
        cleaned = {row.prompt: adapter.clean_prompt(row.prompt, call) for row in rows}
        num_keys = fitted_length(list(cleaned.values()), tokenizer, frame, max_length)
    return CountRequest(tuple(rows), num_keys, may_fold="prompt_embeds" not in changing)


def enhanced(
    prompt: str | Sequence[str], counts: Counts, policy: Policy, enhance: Enhance
) -> tuple[str | list[str], list[Asked]]:
    """Prompts as rewritten, and the counts that they were given with.

    Args:
        prompt: One prompt or a list of them.
        counts: As for ``resolve_request``.
        policy: As for ``resolve_request``.
        enhance: Rewrites a prompt.

    Raises:
        PromptError: Without a prompt, or if a rewriting has lost a counted noun.
        TargetError: If a count cannot be meant, or its noun is not in the prompt as given.
    """
    if prompt is None:
        raise PromptError("enhance needs a prompt to rewrite; pass prompt=")
    written: list[str] = []
    asked: list[Asked] = []
    for text, wish in _wishes(prompt, counts):
        targets = _targets(text, wish, policy)
        written.append(enhanced_prompt(text, targets, enhance))
        asked.append(counts_of(targets))
    return (written[0] if isinstance(prompt, str) else written), asked


def _wishes(prompt: str | Sequence[str], counts: Counts) -> list[tuple[str, Any]]:
    """Every prompt with what is to be counted in it."""
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts:
        raise PromptError("the list of prompts is empty")
    wishes: list[Any] = (
        list(counts)
        if isinstance(counts, Sequence) and not isinstance(counts, str)
        else [counts] * len(prompts)
    )
    if len(wishes) != len(prompts):
        raise PromptError(f"{len(prompts)} prompts, but counts for {len(wishes)}")
    return list(zip(prompts, wishes, strict=True))


def _targets(prompt: str, wish: Any, policy: Policy) -> tuple[CountTarget, ...]:
    if isinstance(wish, Mapping):
        return targets_from_counts(prompt, wish)
    if wish not in ("auto", "required"):
        raise PromptError(
            f'counts must be "auto", "required" or a mapping such as {{"cats": 3}}, got {wish!r}'
        )
    targets = parse_counts(prompt, policy)
    if not targets and wish == "required":
        raise PromptError(
            f'no count was found in {prompt!r}; say what to count, e.g. counts={{"cats": 3}}'
        )
    return targets


def default_of(pipe: Any, name: str, otherwise: int) -> int:
    """What a pipeline takes for an argument that its call leaves out."""
    parameter = inspect.signature(type(pipe).__call__).parameters.get(name)
    return otherwise if parameter is None else parameter.default
