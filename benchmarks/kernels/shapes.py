"""Attention of the video models, in numbers: each row of a result says whose attention it is."""

from dataclasses import dataclass

# Tokens of a prompt such as "two red cats, three dogs and a bird", with the end of the text.
REAL_KEYS = 23


@dataclass(frozen=True)
class Shape:
    """One model at one size, one branch of guidance.

    Attributes:
        name: Model and size.
        heads: Attention heads ``H``.
        head_dim: ``D``.
        frames: Latent frames.
        patches: Patches of a latent frame.
        text: Text keys that the model attends to, padding included.
        joint: Whether text and video attend to all of both at once.
    """

    name: str
    heads: int
    head_dim: int
    frames: int
    patches: int
    text: int
    joint: bool = False

    @property
    def video(self) -> int:
        """Positions of the video."""
        return self.frames * self.patches

    @property
    def queries(self) -> int:
        return self.video + (self.text if self.joint else 0)

    @property
    def keys(self) -> int:
        """Keys of the attention that sees the text."""
        return self.queries if self.joint else self.text


# 81 frames are 21 latent ones, 121 are 31 (TI2V-5B) and 49 are 13 (CogVideoX).
SHAPES = (
    Shape("wan-1.3b-480p", 12, 128, 21, 1560, 512),
    Shape("wan-14b-480p", 40, 128, 21, 1560, 512),
    Shape("wan-14b-720p", 40, 128, 21, 3600, 512),
    Shape("cogvideox-5b-480p", 48, 64, 13, 1350, 226, joint=True),
    Shape("wan-ti2v-5b-704p", 24, 128, 31, 880, 512),
    Shape("wan-1.3b-720p", 12, 128, 21, 3600, 512),
)
# They only show that everything runs.
TINY = (
    Shape("tiny", 2, 16, 2, 15, 80),
    Shape("tiny-joint", 1, 16, 2, 15, 26, joint=True),
)
