"""The call under which the sprites pipeline was trained and judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numina.sprites.world import FRAME_SIDE, NUM_FRAMES


@dataclass(frozen=True)
class CallSettings:
    """Arguments of the pipeline's call."""

    height: int = FRAME_SIDE
    width: int = FRAME_SIDE
    num_frames: int = NUM_FRAMES
    num_inference_steps: int = 16
    guidance_scale: float = 1.5

    def __post_init__(self) -> None:
        if self.num_inference_steps < 1:
            raise ValueError(
                f"num_inference_steps must be 1 or more, got {self.num_inference_steps}"
            )
        if self.num_frames % 2 != 1:
            raise ValueError(f"num_frames must be odd, got {self.num_frames}")

    def arguments(self) -> dict[str, Any]:
        """The settings as keyword arguments."""
        return asdict(self)


DEFAULTS = CallSettings()
