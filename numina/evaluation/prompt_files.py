"""The two files of a CountBench: one prompt a line, and one JSON object of counts a line.

``prompts.txt`` holds ``three cats and two dogs playing on the grass``, and the same line of
``noun_counts.jsonl`` holds ``{"cats": 3, "dogs": 2}``: every key a noun, or a phrase that ends in
it, as it stands in the prompt, every value a whole number of 1 or more. Both are UTF-8 without a
byte order mark; lines end in LF or CRLF, and none is blank.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from numina.errors import FormatError, NuminaError
from numina.prompt.counts import counts_from_json, targets_from_counts

PROMPTS, COUNTS = "prompts.txt", "noun_counts.jsonl"


@dataclass(frozen=True)
class CountedPrompt:
    """A prompt and the counts that it asks for.

    Attributes:
        prompt: One line of text.
        counts: Noun phrase and how many, in order; one at least, and each 1 or more.
    """

    prompt: str
    counts: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if not self.prompt.strip() or len(self.prompt.splitlines()) != 1:
            raise FormatError(f"a prompt must be one line of text, got {self.prompt!r}")
        if not self.counts:
            raise FormatError(f"{self.prompt!r} needs a count at least, got none")
        for noun, count in self.counts:
            if count < 1:
                raise FormatError(f"the count of {noun!r} must be 1 or more, got {count}")
        # Refuses a noun that is not in the prompt, with those that are.
        targets_from_counts(self.prompt, dict(self.counts))


def read_counted_prompts(prompts_file: Path, counts_file: Path) -> tuple[CountedPrompt, ...]:
    """Read and check both files, all of them, before anything is done with a line.

    Args:
        prompts_file: One prompt a line.
        counts_file: One JSON object a line, of the same line's prompt.

    Raises:
        FormatError: If a file cannot be read, they have not the same number of lines, or a line is
            not as said; the message names file and line.
    """
    prompts, counts = _lines(prompts_file), _lines(counts_file)
    if len(prompts) != len(counts):
        raise FormatError(
            f"{prompts_file} has {len(prompts)} lines and {counts_file} has {len(counts)}; every "
            "prompt needs its line of counts"
        )
    found = []
    for number, (prompt, line) in enumerate(zip(prompts, counts, strict=True), 1):
        try:
            pairs = tuple(counts_from_json(line).items())
            found.append(CountedPrompt(prompt, pairs))
        except NuminaError as error:
            raise FormatError(f"{counts_file}, line {number}: {error}") from error
    return tuple(found)


def dump_counted_prompts(prompts: Sequence[CountedPrompt]) -> dict[str, bytes]:
    """Contents of both files, by their usual names."""
    lines = [json.dumps(dict(each.counts), ensure_ascii=False) for each in prompts]
    return {
        PROMPTS: "".join(f"{each.prompt}\n" for each in prompts).encode(),
        COUNTS: "".join(f"{line}\n" for line in lines).encode(),
    }


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {(error.strerror or '').lower()}") from error
    except UnicodeDecodeError as error:
        at = error.object[: error.start].count(b"\n") + 1
        raise FormatError(f"{path}, line {at}: must be UTF-8, got {error.reason}") from error
    if text.startswith("\ufeff"):
        raise FormatError(f"{path}, line 1: must be UTF-8 without a byte order mark")
    # Not splitlines, which also splits at signs that a prompt or a JSON text may hold.
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise FormatError(f"{path}, line {number}: must not be blank; remove the line")
    return lines
