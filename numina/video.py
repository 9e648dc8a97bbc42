"""The grid of patches that a video transformer attends over."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VideoGrid:
    """Latent frames and the rows and columns of patches in each of them.

    Tokens are frame-major: token ``index = (frame * rows + row) * columns + column``.
    """

    frames: int
    rows: int
    columns: int

    def __post_init__(self) -> None:
        if min(self.frames, self.rows, self.columns) < 1:
            raise ValueError(f"a grid needs at least one frame, row and column, got {self}")

    @property
    def patches(self) -> int:
        """Patches per frame, ``N``."""
        return self.rows * self.columns

    @property
    def tokens(self) -> int:
        """Tokens of the whole video, ``F * N``."""
        return self.frames * self.patches

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(F, Y, X)``, the shape of every map over the video."""
        return self.frames, self.rows, self.columns

    @property
    def diagonal(self) -> float:
        """Length of a frame's diagonal, in patches: the unit of distances between instances."""
        return float((self.rows**2 + self.columns**2) ** 0.5)
