"""One calm line after every case: running means and the time left."""

import time
from collections.abc import Sequence


class Progress:
    """Means so far and the time that is left.

    Args:
        methods: In the order to name them.
        cases: Cases in all.
        done: Those that were there at the start.
    """

    def __init__(self, methods: Sequence[str], cases: int, done: int = 0) -> None:
        self._sums = {method: [0.0, 0] for method in methods}
        self._cases, self._done = cases, done
        self._at_start, self._started = done, time.monotonic()

    def note(self, method: str, accuracy: float) -> None:
        """Take in the accuracy of one clip."""
        self._sums[method][0] += accuracy
        self._sums[method][1] += 1

    def line(self, finished: int | None = None) -> str:
        """The line after another case: "12/200  plain .42  robust .87  14 min left".

        Args:
            finished: Cases finished since the start, where others work on them too.
        """
        self._done = self._done + 1 if finished is None else self._at_start + finished
        means = "  ".join(
            f"{method} {total / number:.3f}"
            for method, (total, number) in self._sums.items()
            if number
        )
        spent = time.monotonic() - self._started
        left = spent / (self._done - self._at_start) * (self._cases - self._done)
        return f"{self._done}/{self._cases}  {means}  {_duration(left)} left"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
