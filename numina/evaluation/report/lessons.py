"""Which cases teach most of a method: put right, broken, or missed where the layout would do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from numina.evaluation.metrics import count_accuracy
from numina.evaluation.results import Row
from numina.evaluation.summary import PLAIN

# Who guides with the true layout, and so shows what could be reached.
ORACLES = ("oracle", "oracle-one-pass")


class Lesson(Enum):
    """What a case shows of a method. Right is every noun in every frame."""

    MENDED = "mended"
    BROKEN = "broken"
    MISSED = "missed"


@dataclass(frozen=True)
class Instance:
    """A case that teaches something.

    Attributes:
        lesson: What it shows.
        rows: Its results: plain, the method, and of ``MISSED`` the one with the true layout.
        gap: How far the method's accuracy lies from that of what it is held against.
    """

    lesson: Lesson
    rows: tuple[Row, ...]
    gap: float

    @property
    def seed(self) -> int:
        """The case."""
        return self.rows[0].seed


def instances(
    rows: Mapping[str, Sequence[Row]], method: str
) -> Mapping[Lesson, tuple[Instance, ...]]:
    """All cases of each lesson, the most instructive first; of ``MISSED`` where there is an oracle.

    That is the one with the largest gap; of equal ones the one with fewer nouns, for it is seen at
    a glance, then with more things, for few are easy.

    Args:
        rows: Results of the same cases in the same order, by method.
        method: Whose lessons.
    """
    oracle = next((name for name in ORACLES if name in rows), None)
    truths = rows[oracle] if oracle else [None] * len(rows[method])
    taught = [lesson for lesson in Lesson if oracle or lesson is not Lesson.MISSED]
    found: dict[Lesson, list[Instance]] = {lesson: [] for lesson in taught}
    for plain, ours, truth in zip(rows[PLAIN], rows[method], truths, strict=True):
        before, after = _accuracy(plain), _accuracy(ours)
        if before < 1 == after:
            found[Lesson.MENDED].append(Instance(Lesson.MENDED, (plain, ours), after - before))
        elif after < 1 == before:
            found[Lesson.BROKEN].append(Instance(Lesson.BROKEN, (plain, ours), before - after))
        elif after < 1 and truth is not None and _accuracy(truth) == 1:
            found[Lesson.MISSED].append(Instance(Lesson.MISSED, (plain, ours, truth), 1 - after))
    return {lesson: tuple(sorted(each, key=_order)) for lesson, each in found.items()}


def chosen(found: Mapping[Lesson, Sequence[Instance]], number: int) -> tuple[Instance, ...]:
    """``number`` cases at most: each lesson's best in turn, then each one's second, and so on."""
    return tuple(instance for _, instance in zip(range(number), _in_turn(found), strict=False))


def _in_turn(found: Mapping[Lesson, Sequence[Instance]]) -> Iterator[Instance]:
    for place in range(max(map(len, found.values()), default=0)):
        for each in found.values():
            if place < len(each):
                yield each[place]


def _accuracy(row: Row) -> float:
    return count_accuracy(row.observation())


def _order(instance: Instance) -> tuple[float, int, int, int]:
    targets = instance.rows[0].targets
    return (-instance.gap, len(targets), -sum(targets), instance.seed)
