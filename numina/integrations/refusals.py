"""What several families must refuse in a call or a transformer, in the same words."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from numina.errors import UnsupportedModelError


def refuse_arguments(call: Mapping[str, Any], reasons: Mapping[str, str]) -> None:
    """Refuse arguments that ask for something, for the reason under their name.

    Raises:
        UnsupportedModelError: Naming the first of them.
    """
    for name, reason in reasons.items():
        given = call.get(name)
        if _is_asked(given):
            raise UnsupportedModelError(f"{name}={_shown(given)} {reason}")


def refuse_conditioning(transformer: nn.Module) -> None:
    """Refuse a transformer that is given more channels than it predicts.

    Raises:
        UnsupportedModelError: Naming both numbers.
    """
    config: Any = transformer.config
    if config.in_channels != config.out_channels:
        raise UnsupportedModelError(
            f"this {type(transformer).__name__} takes {config.in_channels} channels and predicts "
            f"{config.out_channels}: it makes videos from images or controls, which is not "
            "supported yet; use a text-to-video model"
        )


def refuse_ignored_videos(call: Mapping[str, Any], family: str) -> None:
    """Refuse several videos of a prompt where the pipelines of a family make one all the same.

    Raises:
        UnsupportedModelError: If ``num_videos_per_prompt`` is not 1.
    """
    videos = call.get("num_videos_per_prompt", 1)
    if videos != 1:
        raise UnsupportedModelError(
            f"num_videos_per_prompt={videos!r} is ignored by {family} pipelines, which make one "
            "video for each prompt; repeat the prompt in a list instead"
        )


def refuse_mixed_masks(call: Mapping[str, Any], family: str) -> None:
    """Refuse several videos of several prompts where a family's pipelines mix up their masks.

    Raises:
        UnsupportedModelError: If ``num_videos_per_prompt`` is not 1 for more than one prompt.
    """
    videos, prompt = call.get("num_videos_per_prompt", 1), call.get("prompt")
    if videos != 1 and not isinstance(prompt, str) and len(prompt or ()) > 1:
        raise UnsupportedModelError(
            f"num_videos_per_prompt={videos!r} with {len(prompt or ())} prompts: {family} "
            "pipelines then mask the text of one prompt as that of another; repeat each prompt in "
            "the list instead"
        )


_PLAIN = bool | int | float | str | list | tuple


def _is_asked(given: Any) -> bool:
    # Images and tensors have no truth value, and ask for something whatever is in them.
    return bool(given) if isinstance(given, _PLAIN) else given is not None


def _shown(given: Any) -> str:
    return repr(given) if isinstance(given, _PLAIN) else type(given).__name__
