"""Where the counted nouns stand among the text tokens that a model attends to."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import torch

from numina.errors import PromptError, TargetError, UnsupportedModelError
from numina.prompt.counts import CountTarget
from numina_kernels import KeyGroups

Span = tuple[int, int]

_MISSING_TEXT = "\ufffd"


@dataclass(frozen=True)
class PromptFrame:
    """What a pipeline writes around a prompt, and what of the result the model attends to.

    Attributes:
        before: Text before the prompt.
        after: Text behind it.
        cropped: How many of the first tokens, special ones included, do not become keys.
        length: How many tokens become keys, padding included; None where the pipeline call says it
            (``max_sequence_length``).
        keys_behind: Further keys behind those, of other texts or images.
        padded: Whether padding stays where the tokenizer puts it; False where the model has the
            text first and something else in the place of padding.
        fitted: Whether there are as many keys as the longest prompt of a batch needs, and
            ``length`` is but the most there may be; False where there are always so many.

    Raises:
        PromptError: If ``cropped`` or ``keys_behind`` is negative, or ``length`` is not positive.
    """

    before: str = ""
    after: str = ""
    cropped: int = 0
    length: int | None = None
    keys_behind: int = 0
    padded: bool = True
    fitted: bool = False

    def __post_init__(self) -> None:
        if self.cropped < 0:
            raise PromptError(f"cropped must not be negative, got {self.cropped}")
        if self.keys_behind < 0:
            raise PromptError(f"keys_behind must not be negative, got {self.keys_behind}")
        if self.length is not None and self.length < 1:
            raise PromptError(f"length must be at least 1, got {self.length}")


@dataclass(frozen=True)
class _Piece:
    """A text token: its position in the sequence, its id and the characters it stands for."""

    position: int
    token: int
    span: Span


def locate_tokens(
    prompt: str,
    targets: Sequence[CountTarget],
    tokenizer: Any,
    *,
    max_length: int = 512,
    clean: Callable[[str], str] | None = None,
    frame: PromptFrame = PromptFrame(),
) -> tuple[tuple[int, ...], ...]:
    """Find the token positions of every mention of every target, by character offsets.

    A position indexes the sequence as the pipeline makes it: truncated and padded to
    ``max_length``, special tokens included, cropped ones not. All pieces of a noun belong to it,
    and so does a piece that only marks the word's beginning. Mentions that truncation cuts off are
    left out. The attributes of a noun come along where the model sees them and no other noun has
    them: "blue" of "three blue balls" asks for balls as well.

    A tokenizer that reports offsets is taken at its word. For one that does not, every piece is
    decoded and looked up in the text from left to right, letter case aside; where that fails, an
    error says so.

    Args:
        prompt: The prompt that the targets were read from.
        targets: Nouns with their character spans in ``prompt``.
        tokenizer: A tokenizer of transformers.
        max_length: Length of the token sequence, padding included and cropped tokens not.
        clean: What the pipeline does to the prompt before it is tokenized, if anything. It may
            replace, drop or collapse characters, but keeps the words in order.
        frame: What the pipeline writes around the cleaned prompt, and how much it crops.

    Returns:
        For each target its positions, ascending.

    Raises:
        TargetError: If a target lies outside the prompt, is changed by ``clean`` or unknown to the
            tokenizer, has no mention within ``max_length``, or shares a token with another.
        PromptError: If the crop reaches into the prompt.
        UnsupportedModelError: If the crop would take padding in place of the frame.
    """
    if max_length < 1:
        raise TargetError(f"max_length must be at least 1, got {max_length}")
    if not targets:
        return ()
    text = prompt if clean is None else clean(prompt)
    seen = _framed_pieces(tokenizer, text, frame, max_length)
    complete = _framed_pieces(tokenizer, text, frame, None)
    owners: dict[int, str] = {}
    located = []
    for target in targets:
        spans = [_span_after_cleaning(prompt, text, span, target, clean) for span in target.spans]
        positions = _positions(target, spans, seen, complete, tokenizer, max_length)
        for position in positions:
            if owners.setdefault(position, target.phrase) != target.phrase:
                raise TargetError(
                    f"{target.phrase!r} and {owners[position]!r} share the text token {position}; "
                    "write them as separate words"
                )
        located.append(positions)
    for at, target in enumerate(targets):
        spans = [
            _span_after_cleaning(prompt, text, span, target, clean) for span in target.attributes
        ]
        words = [_inside(seen, span) for span in spans]
        known = [word for word in words if _is_known(tokenizer, word)]
        free = {piece.position for word in known for piece in word} - owners.keys()
        owners.update(dict.fromkeys(free, target.phrase))
        located[at] = tuple(sorted(free.union(located[at])))
    return tuple(located)


def fitted_length(texts: Sequence[str], tokenizer: Any, frame: PromptFrame, max_length: int) -> int:
    """How many tokens become keys where that depends on the longest of a batch of prompts.

    Args:
        texts: The prompts, cleaned.
        tokenizer: A tokenizer of transformers.
        frame: What the pipeline writes around them, and how much it crops.
        max_length: The most that there may be.

    Raises:
        PromptError: If a prompt needs more: what the pipeline then leaves of it is not known.
    """
    framed = (frame.before + text + frame.after for text in texts)
    needed = max(len(tokenizer(text, verbose=False)["input_ids"]) for text in framed)
    if needed - frame.cropped > max_length:
        raise PromptError(
            f"the prompt has {needed - frame.cropped} tokens, but the model takes {max_length}; "
            "shorten it, or raise max_sequence_length"
        )
    return needed - frame.cropped


def key_groups(rows: Sequence[Sequence[Sequence[int]]], num_keys: int, count: int) -> KeyGroups:
    """Turn the token positions of a batch into the noun of every text key.

    Args:
        rows: For each prompt of the batch what ``locate_tokens`` returned; a row may name fewer
            nouns than others.
        num_keys: Number of text keys ``K``.
        count: Number of nouns ``G``; the most that any row names.

    Returns:
        Groups with an index ``[B, K]``.

    Raises:
        TargetError: If there is no row, or a row names more than ``count`` nouns.
        LayoutError: If a position is outside the text, or belongs to two nouns.
    """
    if not rows:
        raise TargetError("key groups need at least one prompt, got none")
    most = max(len(row) for row in rows)
    if most > count:
        raise TargetError(f"count must cover the {most} nouns of every row, got {count}")
    index = [KeyGroups.from_positions(row, num_keys).index for row in rows]
    return KeyGroups(torch.cat(index), count)


def _positions(
    target: CountTarget,
    spans: Sequence[Span],
    seen: Sequence[_Piece],
    complete: Sequence[_Piece],
    tokenizer: Any,
    max_length: int,
) -> tuple[int, ...]:
    """Positions of the mentions that are wholly in the text the model sees."""
    found: set[int] = set()
    cut = False
    for span in spans:
        inside, whole = _inside(seen, span), _inside(complete, span)
        if not whole:
            raise TargetError(
                f"the tokenizer makes no token of {target.phrase!r}; use another word for it"
            )
        if not _is_known(tokenizer, whole):
            raise TargetError(
                f"the tokenizer does not know {target.phrase!r}; use another word for it"
            )
        if len(inside) < len(whole):
            cut = True
        else:
            found.update(piece.position for piece in inside)
    if cut and not found:
        raise TargetError(
            f"{target.phrase!r} lies beyond the text length of the model: the prompt has "
            f"{len(complete)} tokens, max_length is {max_length}; name it earlier"
        )
    return tuple(sorted(found))


def _inside(pieces: Sequence[_Piece], span: Span) -> list[_Piece]:
    return [piece for piece in pieces if piece.span[0] < span[1] and span[0] < piece.span[1]]


def _is_known(tokenizer: Any, pieces: Sequence[_Piece]) -> bool:
    """Whether any piece says something: is neither unknown nor a mere mark of a word's start."""
    unknown = getattr(tokenizer, "unk_token_id", None)
    names = tokenizer.convert_ids_to_tokens([piece.token for piece in pieces])
    return any(
        piece.token != unknown and name.strip("▁Ġ ")
        for piece, name in zip(pieces, names, strict=True)
    )


def _framed_pieces(
    tokenizer: Any, text: str, frame: PromptFrame, max_length: int | None
) -> list[_Piece]:
    """The pieces of the prompt itself, by its own characters and by the keys that they become."""
    if frame.cropped and getattr(tokenizer, "padding_side", "right") != "right":
        raise UnsupportedModelError(
            f"the pipeline crops the first {frame.cropped} tokens, but its tokenizer pads on the "
            f"{tokenizer.padding_side}, so that padding would be cropped in place of the prompt "
            'template; set pipe.tokenizer.padding_side = "right"'
        )
    length = None if max_length is None else max_length + frame.cropped
    start, end = len(frame.before), len(frame.before) + len(text)
    framed = [
        _Piece(
            piece.position - frame.cropped,
            piece.token,
            (piece.span[0] - start, piece.span[1] - start),
        )
        for piece in _pieces(tokenizer, frame.before + text + frame.after, length, frame.padded)
        if piece.span[0] < end and start < piece.span[1]
    ]
    # A piece of spaces alone may reach from the frame into the prompt.
    cut = [piece for piece in framed if piece.position < 0 and piece.span[0] < piece.span[1]]
    if cut:
        raise PromptError(
            f"the pipeline crops the first {frame.cropped} tokens, but the prompt begins at token "
            f"{cut[0].position + frame.cropped}; pass a prompt_template with that crop_start"
        )
    return framed


def _pieces(tokenizer: Any, text: str, max_length: int | None, padded: bool = True) -> list[_Piece]:
    """Tokenize as the pipelines do, or without a limit; special tokens are left out."""
    limits: dict[str, Any] = {}
    if max_length is not None:
        limits = {"max_length": max_length, "truncation": True}
        if padded and tokenizer.pad_token_id is not None:
            limits["padding"] = "max_length"
    encoded = tokenizer(
        text,
        add_special_tokens=True,
        return_special_tokens_mask=True,
        return_offsets_mapping=bool(getattr(tokenizer, "is_fast", False)),
        verbose=False,
        **limits,
    )
    tokens, special = encoded["input_ids"], encoded["special_tokens_mask"]
    plain = [position for position, mask in enumerate(special) if not mask]
    if (offsets := encoded.get("offset_mapping")) is not None:
        spans = [_without_spaces(text, offsets[position]) for position in plain]
    else:
        spans = _decoded_spans(tokenizer, [tokens[position] for position in plain], text)
    return [
        _Piece(position, tokens[position], span)
        for position, span in zip(plain, spans, strict=True)
    ]


def _without_spaces(text: str, span: Span) -> Span:
    """Cut the space off that byte-level tokenizers count into the word behind it."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _decoded_spans(tokenizer: Any, tokens: Sequence[int], text: str) -> list[Span]:
    """Spans of the tokens, found by decoding them piece by piece along the text.

    Pieces that decode to nothing alone (the mark of a word's start, a part of a character) wait
    for the next one and share its span.
    """
    spans: list[Span] = []
    waiting: list[str] = []
    at = 0
    for name in tokenizer.convert_ids_to_tokens(tokens):
        waiting.append(name)
        piece = tokenizer.convert_tokens_to_string(waiting)
        if not piece or _MISSING_TEXT in piece:
            continue
        piece = piece.strip()
        while at < len(text) and text[at].isspace():
            at += 1
        end = at + len(piece)
        if text[at:end].casefold() != piece.casefold():
            raise TargetError(
                f"the tokenizer reports no offsets, and its piece {piece!r} is not the text at "
                f"{text[at : at + 20]!r}; use a fast tokenizer"
            )
        spans += [(at, end)] * len(waiting)
        waiting, at = [], end
    return spans + [(at, at)] * len(waiting)


def _span_after_cleaning(
    prompt: str,
    text: str,
    span: Span,
    target: CountTarget,
    clean: Callable[[str], str] | None,
) -> Span:
    """Where the characters of a span stand in the cleaned text."""
    noun = prompt[slice(*span)]
    if span[1] > len(prompt):
        raise TargetError(
            f"{target.phrase!r} at {span} lies outside the prompt of {len(prompt)} characters"
        )
    if text == prompt or clean is None:
        return span
    moved = [
        _moved(span, old, new) if same else new
        for old, new, same in _alignment(prompt, text)
        if old[0] < span[1] and span[0] < old[1]
    ]
    start = min((start for start, _ in moved), default=0)
    end = max((end for _, end in moved), default=0)
    if start == end or text[start:end] not in (noun, clean(noun)):
        raise TargetError(
            f"cleaning the prompt turns {noun!r} into {text[start:end]!r}; pass the cleaned prompt"
        )
    return start, end


def _moved(span: Span, old: Span, new: Span) -> Span:
    """The part of ``span`` inside ``old``, moved along with it to ``new``."""
    shift = new[0] - old[0]
    return max(span[0], old[0]) + shift, min(span[1], old[1]) + shift


def _alignment(before: str, after: str) -> Iterator[tuple[Span, Span, bool]]:
    """Pairs of spans, in order, that hold the same (True) or what one became of the other."""
    old, new = _words(before), _words(after)
    matcher = SequenceMatcher(
        None, [before[slice(*span)] for span in old], [after[slice(*span)] for span in new], False
    )
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        if tag == "equal":
            for pair in zip(old[first:last], new[new_first:new_last], strict=True):
                yield *pair, True
        elif tag == "replace" and last - first == new_last - new_first:
            for pair in zip(old[first:last], new[new_first:new_last], strict=True):
                yield from _aligned_characters(before, after, *pair)
        elif tag == "replace":
            block = old[first][0], old[last - 1][1]
            new_block = new[new_first][0], new[new_last - 1][1]
            yield from _aligned_characters(before, after, block, new_block)


def _aligned_characters(
    before: str, after: str, old: Span, new: Span
) -> Iterator[tuple[Span, Span, bool]]:
    matcher = SequenceMatcher(None, before[slice(*old)], after[slice(*new)], False)
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        moved = (old[0] + first, old[0] + last), (new[0] + new_first, new[0] + new_last)
        if tag in ("equal", "replace"):
            yield *moved, tag == "equal"


def _words(text: str) -> list[Span]:
    return [match.span() for match in re.finditer(r"\S+", text)]
