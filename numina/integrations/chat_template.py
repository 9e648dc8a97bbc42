"""What a chat template writes around a prompt."""

from collections.abc import Sequence
from typing import Any

# Stands for the prompt where the template is taken apart; no prompt holds it.
PROMPT_SLOT = "\0"


def text_around(tokenizer: Any, messages: Sequence[Any], **options: Any) -> tuple[str, str]:
    """The text before and behind the prompt.

    Args:
        tokenizer: A tokenizer of transformers with a chat template.
        messages: As the pipeline hands them to the template, with ``PROMPT_SLOT`` for the prompt.
        **options: Options of ``apply_chat_template``.
    """
    written = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    before, _, after = written.partition(PROMPT_SLOT)
    return before, after
