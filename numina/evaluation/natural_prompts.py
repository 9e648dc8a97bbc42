"""Natural prompts with counts, in the manner of CountBench: everyday scenes, the same for a seed.

Counts run from 1 to 8, evenly. Every prompt says its numbers in words, and ``parse_counts`` reads
from it just the counts that are meant.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from numina.evaluation.prompt_files import CountedPrompt

MAX_COUNT = 8
MAX_NOUNS = 3
# Instances of all nouns beyond which no further noun is added: more do not fit into a video.
CROWDED = 8
Card = TypeVar("Card")

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
# Share of the prompts with one, two and three nouns, where the counts leave room for them.
_NOUN_SHARES = (0.4, 0.4, 0.2)


@dataclass(frozen=True)
class SceneKind:
    """What may be seen together.

    Attributes:
        things: Plural of each noun, and its singular.
        deeds: What they do, said of several and of one.
        places: Where.
    """

    things: tuple[tuple[str, str], ...]
    deeds: tuple[tuple[str, str], ...]
    places: tuple[str, ...]


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """``"geese:goose look_around:looks_around"`` as pairs."""
    pairs = (pair.replace("_", " ").split(":") for pair in text.split())
    return tuple((several, one) for several, one in pairs)


KINDS = {
    "animals": SceneKind(
        _pairs(
            "cats:cat dogs:dog geese:goose mice:mouse sheep:sheep deer:deer wolves:wolf foxes:fox "
            "ponies:pony rabbits:rabbit ducks:duck goats:goat horses:horse oxen:ox hens:hen "
            "squirrels:squirrel elephants:elephant giraffes:giraffe kittens:kitten puppies:puppy"
        ),
        _pairs(
            "wander:wanders rest:rests stand:stands walk:walks wait:waits run:runs sleep:sleeps "
            "look_around:looks_around"
        ),
        (
            "in a wet meadow",
            "beside a quiet river",
            "on a snowy hill",
            "under an old oak",
            "near a wooden fence",
            "in the morning mist",
        ),
    ),
    "people": SceneKind(
        _pairs(
            "children:child men:man women:woman dancers:dancer firefighters:firefighter "
            "policemen:policeman hikers:hiker cyclists:cyclist chefs:chef boys:boy girls:girl "
            "farmers:farmer surfers:surfer nurses:nurse musicians:musician tourists:tourist"
        ),
        _pairs("walk:walks laugh:laughs dance:dances wait:waits stand:stands talk:talks run:runs"),
        (
            "in a sunny park",
            "on a busy square",
            "along the beach",
            "in front of a red barn",
            "under the falling snow",
            "in a bright hall",
        ),
    ),
    "objects": SceneKind(
        _pairs(
            "balloons:balloon candles:candle books:book chairs:chair umbrellas:umbrella "
            "lanterns:lantern knives:knife boxes:box vases:vase clocks:clock kites:kite "
            "suitcases:suitcase guitars:guitar brushes:brush shelves:shelf lamps:lamp"
        ),
        _pairs("stand:stands lie:lies wait:waits sway:sways shine:shines"),
        (
            "in a dusty attic",
            "on a marble floor",
            "beside a tall window",
            "in the evening light",
            "on a stone terrace",
        ),
    ),
    "food": SceneKind(
        _pairs(
            "apples:apple strawberries:strawberry cherries:cherry loaves:loaf tomatoes:tomato "
            "peaches:peach pancakes:pancake cupcakes:cupcake lemons:lemon eggs:egg "
            "sandwiches:sandwich potatoes:potato pears:pear carrots:carrot muffins:muffin"
        ),
        _pairs("lie:lies roll:rolls stand:stands rest:rests"),
        (
            "on a wooden table",
            "on a white cloth",
            "beside a glass jug",
            "in the warm light of a kitchen",
            "near an open window",
        ),
    ),
    "vehicles": SceneKind(
        _pairs(
            "cars:car buses:bus trucks:truck bicycles:bicycle boats:boat ferries:ferry "
            "trains:train tractors:tractor taxis:taxi motorcycles:motorcycle vans:van canoes:canoe "
            "helicopters:helicopter scooters:scooter ambulances:ambulance"
        ),
        _pairs("wait:waits stand:stands pass:passes turn:turns stop:stops"),
        (
            "in heavy rain",
            "at dusk",
            "near a stone bridge",
            "in front of a white lighthouse",
            "under a cloudy sky",
        ),
    ),
}


def natural_prompts(number: int, seed: int = 0) -> tuple[CountedPrompt, ...]:
    """Make prompts; those of a smaller number are the first of a larger.

    Args:
        number: How many.
        seed: Decides them all.
    """
    if number < 1 or seed < 0:
        raise ValueError(f"number must be 1 or more and seed 0 or more, got {number} and {seed}")
    rng = random.Random(f"natural prompts {seed}")
    counts, kinds = _Deck(range(1, MAX_COUNT + 1), rng), _Deck(list(KINDS), rng)
    return tuple(_prompt(rng, KINDS[kinds.draw()], counts) for _ in range(number))


class _Deck(Generic[Card]):
    """Cards in random order, each as often as any other: all are drawn before one comes again."""

    def __init__(self, cards: Sequence[Card], rng: random.Random) -> None:
        self._cards, self._rng = cards, rng
        self._left: list[Card] = []

    def draw(self) -> Card:
        if not self._left:
            self._left = self._rng.sample(list(self._cards), len(self._cards))
        return self._left.pop()


def _prompt(rng: random.Random, kind: SceneKind, deck: "_Deck[int]") -> CountedPrompt:
    (wanted,) = rng.choices(range(1, MAX_NOUNS + 1), _NOUN_SHARES)
    counts = [deck.draw()]
    while len(counts) < wanted and sum(counts) < CROWDED:
        counts.append(deck.draw())
    things = [
        several if count > 1 else one
        for count, (several, one) in zip(counts, rng.sample(kind.things, len(counts)), strict=True)
    ]
    named = [f"{_NUMBERS[count - 1]} {thing}" for count, thing in zip(counts, things, strict=True)]
    place = rng.choice(kind.places)
    if len(counts) == 2 and rng.random() < 0.5:
        first, second = (
            f"{name} {deed[count == 1]}"
            for name, count, deed in zip(named, counts, rng.sample(kind.deeds, 2), strict=True)
        )
        text = f"{first} while {second} {place}"
    else:
        listed = " and ".join([", ".join(named[:-1]), named[-1]] if named[1:] else named)
        text = f"{listed} {rng.choice(kind.deeds)[counts == [1]]} {place}"
    return CountedPrompt(f"{text[0].upper()}{text[1:]}", tuple(zip(things, counts, strict=True)))
