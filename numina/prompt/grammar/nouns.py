"""Singular and plural of English nouns by rules: which words are plurals, which are one noun."""

from functools import lru_cache

_IRREGULAR = dict(
    pair.split(":")
    for pair in (
        "men:man women:woman children:child grandchildren:grandchild schoolchildren:schoolchild "
        "people:person mice:mouse dormice:dormouse lice:louse geese:goose feet:foot teeth:tooth "
        "oxen:ox dice:die pence:penny cacti:cactus fungi:fungus octopi:octopus alumni:alumnus "
        "hippopotami:hippopotamus nuclei:nucleus stimuli:stimulus "
        "phenomena:phenomenon criteria:criterion bacteria:bacterium "
        "vertebrae:vertebra larvae:larva antennae:antenna nebulae:nebula formulae:formula "
        "algae:alga oases:oasis crises:crisis bases:basis paparazzi:paparazzo virtuosi:virtuoso "
        "chateaux:chateau bureaux:bureau gateaux:gateau plateaux:plateau brethren:brother "
        "matrices:matrix vertices:vertex indices:index passers-by:passer-by passersby:passerby "
        "axes:axis"
    ).split()
)

# The same in singular and plural, or only a plural in meaning.
INVARIANT = frozenset(
    "aircraft angelfish barracks bison buffalo butterflyfish carp catfish cattle clownfish "
    "cod crayfish crossroads cuttlefish deer elk emoji fish gallows geisha goldfish halibut "
    "headquarters herring hovercraft jellyfish kimono koi krill lionfish livestock mackerel moose "
    "ninja offspring pike plankton police poultry pufferfish quail reindeer ronin salmon samurai "
    "series sheep shellfish shrimp shuriken spacecraft species squid starfish swine swordfish "
    "trout tuna walleye watercraft wildebeest".split()
)

# End in s, but are one thing, no thing, or no noun.
_SINGULAR_S = frozenset(
    "abs aerobics afterwards alas alias always amidst andes aquatics arkansas ares as asparagus "
    "athens athletics atlas backwards besides bias canvas ceramics chaos charles christmas cosmos "
    "does downstairs downwards electronics ethos forwards gas graphics gymnastics has hercules "
    "hers his hogwarts hundreds illinois indoors inwards is its james jesus judas kansas kudos "
    "las lens less los lots loads lucas mars mathematics midas millions minus mrs ms "
    "needs nevertheless news nicholas nonetheless nowadays ours outdoors outwards overseas "
    "pancreas paris pathos pegasus perhaps physics plenty plus politics regardless robotics "
    "scores sideways sometimes texas thanks theirs this thomas thousands thus tons towards "
    "trellis unless ups upstairs upwards us usps vegas venus versus wales was whereas yes yours "
    "zeus dozens downs across".split()
)
# Plurals although they end like singulars (-us, -is).
_PLURAL_S = frozenset(
    "alibis bayous bikinis caribous chilis corgis emus flus gnus gurus haikus kiwis "
    "martinis menus paninis pis rabbis safaris salamis saris skis sushis taxis "
    "tsunamis tuk-tuks tutus urus yetis zebus zucchinis khakis jacuzzis".split()
)
_MAN_WORDS = frozenset("omen specimen abdomen ramen stamen regimen yemen amen dolmen semen".split())
# Last parts that are no noun by themselves: "two ten-year-olds", "close-ups".
_NO_HEADS = frozenset(
    "ups ins outs offs out off olds old law rounds round nots overs downs like".split()
)


def is_plural(word: str) -> bool:
    """Whether a lower-case noun can be a plural, by its form; invariant nouns count."""
    if word in _IRREGULAR or word in INVARIANT or word in _PLURAL_S:
        return True
    if word in _SINGULAR_S or len(word) < 3:
        return False
    if word.endswith("men") and word not in _MAN_WORDS:
        return True
    last = word.rsplit("-", 1)[-1]
    if last != word:
        return is_plural(last)
    return word.endswith("s") and not word.endswith(("ss", "us", "is", "'s", "’s"))


def head_part(word: str) -> str:
    """The part of a hyphenated lower-case noun that is its head: "balloons" of "air-balloons"."""
    lead, hyphen, last = word.rpartition("-")
    whole = not hyphen or len(lead) < 2 or len(last) < 3 or last in _NO_HEADS
    return word if whole else last


@lru_cache(maxsize=4096)
def singulars(word: str) -> frozenset[str]:
    """Every singular that a lower-case noun may be a form of; the word itself where none is.

    Rules cannot know that "roses" is a rose and "buses" a bus, so both candidates are given; two
    words are one noun where their candidates meet. Of a hyphenated noun only its head is looked at.
    """
    if head_part(word) != word:
        return singulars(head_part(word))
    lead, hyphen, last = word.rpartition("-")
    if hyphen and word not in _IRREGULAR:
        return frozenset(f"{lead}-{form}" for form in singulars(last))
    if word in _IRREGULAR:
        regular = {word[:-1]} if word.endswith("s") else set()
        return frozenset({_IRREGULAR[word], *regular})
    if word in INVARIANT or not is_plural(word):
        return frozenset({word})
    if word.endswith("men"):
        return frozenset({word[:-2] + "an"})
    forms = {word[:-1]}
    if word.endswith("ies"):
        forms.add(word[:-3] + "y")
    elif word.endswith("ves"):
        forms |= {word[:-3] + "f", word[:-3] + "fe"}
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        forms.add(word[:-2])
        if word.endswith(("zzes", "sses")):
            forms.add(word[:-3])
    return frozenset(forms)


def same_noun(first: str, second: str) -> bool:
    """Whether two lower-case words can be forms of one noun, as "leaf" and "leaves"."""
    return first == second or not singulars(first).isdisjoint(singulars(second))
