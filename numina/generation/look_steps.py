"""At which steps of a run a look is taken, so that what it tells can still be acted on."""

from collections.abc import Callable, Iterable, Sequence

from numina.errors import ScheduleError


def first_step_at(noises: Sequence[float], level: float) -> int:
    """First step but the last whose noise level is ``level`` or lower.

    Raises:
        ScheduleError: If there is none.
    """
    step = _reached(noises, level)
    if step < len(noises) - 1:
        return step
    raise ScheduleError(
        f"none of the {len(noises)} steps but the last has a noise level of {level:.2f} or lower, "
        "so there is nothing to look at; use more steps or a smaller shift"
    )


def verdict_step(noises: Sequence[float], level: float) -> int:
    """The step on which restart mode decides: the first at ``level`` or lower.

    Where that is the last step, or none is, it is the last step or the one before it, whichever is
    nearer to the level. Even the last is not too late, for guidance begins with another run.

    Args:
        noises: Noise level of every step, falling.
        level: The noise level that a method asks for.

    Raises:
        ScheduleError: If the run has a single step, which starts from pure noise.
    """
    last = len(noises) - 1
    if last < 1:
        raise ScheduleError(
            "the only step of this run starts from pure noise, in which there is nothing to look "
            "at; use 2 steps or more"
        )
    step = _reached(noises, level)
    if step < last:
        return step
    return min(range(max(1, last - 1), last + 1), key=lambda near: abs(noises[near] - level))


def look_steps(
    noises: Sequence[float], levels: Iterable[float], strength: Callable[[float, float], float]
) -> set[int]:
    """The steps after which one-pass mode looks, each with a guided step behind it.

    A level stands for the first step that has it or a lower one. The few steps of a distilled model
    may jump over the levels at which guidance acts; then a look is taken as late as it still helps,
    but not of the first step, which was made of pure noise.

    Args:
        noises: Noise level of every step, falling.
        levels: The noise levels that a method asks for.
        strength: Its strength at a noise level and a share of the steps; where it never guides, a
            look may be as late as the last step but one.

    Raises:
        ScheduleError: If a level is at no such step.
    """
    number = len(noises)
    guided = [step for step, noise in enumerate(noises) if strength(noise, step / number) > 0]
    latest = (guided[-1] if guided else number - 1) - 1
    steps = set()
    for level in levels:
        step = _reached(noises, level)
        if step > latest and latest < 1:
            raise ScheduleError(
                f"none of the {number} steps has a noise level of {level:.2f} or lower and a "
                "guided step behind it, so one pass has nothing to look at; use more steps, or "
                'mode="restart"'
            )
        steps.add(min(step, latest))
    return steps


def _reached(noises: Sequence[float], level: float) -> int:
    """First step at a noise level or below it; the number of steps where there is none."""
    return next((step for step, noise in enumerate(noises) if noise <= level), len(noises))
