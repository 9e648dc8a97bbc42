"""What kinds of word a lower-case English word can be: closed classes, adjectives, verbs."""

CONTRACTIONS = frozenset("it's he's she's that's there's here's what's who's where's let's".split())
ARTICLES = frozenset(("a", "an"))
DEFINITE = frozenset(
    "the this that these those both all each every either neither another any my your his her its "
    "our their whose which what said same".split()
)
PREPOSITIONS = frozenset(
    "about above across after against along alongside amid amidst among amongst around as at atop "
    "before behind below beneath beside besides between beyond by despite down during for from in "
    "inside into like near nearby of off on onto opposite out outside over past per since than "
    "through throughout till to toward towards under underneath until unlike up upon via versus "
    "with within without".split()
)
CONJUNCTIONS = frozenset(
    "and or but nor yet so while whilst when where as because if that who whom which whose "
    "although though until before after since then plus".split()
)
AUXILIARIES = frozenset(
    "is are was were be been being am has have had having do does did can could will would shall "
    "should may might must isn't aren't wasn't weren't don't doesn't didn't can't won't".split()
)
_PRONOUNS = frozenset(
    "i you he she it we they me him them us one's oneself himself herself itself themselves "
    "someone somebody something anyone anybody anything everyone everybody everything nobody "
    "nothing each all both others whoever who there here it's he's she's that's there's here's "
    "what's who's where's let's i'm you're they're we're".split()
)
_QUANTIFIERS = frozenset(
    "no not several many few some any numerous countless multiple various much most enough none "
    "various half".split()
)
_ADVERBS = frozenset(
    "again ago ahead alone aloft already also always apart asleep abreast ablaze adrift afloat "
    "aglow alight aside astride awake aboard away ashore airborne backward backwards downhill "
    "downward downwards downstream downstairs else elsewhere even everywhere forever forth forward "
    "forwards hence however indoors instead inward inwards midair mid-air mid-flight mid-jump "
    "never not now offshore often once onward onwards outdoors outward outwards overhead overseas "
    "perhaps maybe please quite rather sideways sometimes somewhere soon there here thus today "
    "together tonight too uphill upright upside upstairs upstream upward upwards vs whereas "
    "wherever twice back-to-back side-by-side one-by-one underwater underfoot unaware etc eg ie "
    "hand-in-hand shoulder-to-shoulder head-on nearby onscreen offscreen closer later".split()
)
# Words at which a noun phrase ends.
CLOSED = (
    ARTICLES
    | DEFINITE
    | PREPOSITIONS
    | CONJUNCTIONS
    | AUXILIARIES
    | _PRONOUNS
    | _QUANTIFIERS
    | _ADVERBS
) - {"opposite", "underwater", "same", "nearby", "outside", "inside"}

_ADJECTIVES = frozenset(
    "red orange yellow green blue purple pink brown black white gray grey golden silver violet "
    "turquoise teal crimson scarlet beige cyan magenta maroon navy indigo amber tan blonde blond "
    "big small large little tiny huge giant gigantic tall short long wide narrow thick thin fat "
    "slim slender massive enormous miniature mini medium full-grown oversized life-sized high low "
    "young old elderly new ancient modern antique vintage retro baby adult adolescent teenage "
    "newborn middle-aged little adorable cute beautiful pretty lovely ugly handsome elegant "
    "graceful happy sad angry joyful cheerful playful lively lonely lone single solitary sole shy "
    "brave curious sleepy tired hungry calm quiet loud noisy friendly wild tame stray fierce "
    "gentle fluffy furry fuzzy hairy woolly curly silky smooth rough soft hard sharp shiny "
    "glossy matte bright dark light pale vivid colorful colourful colored coloured rainbow "
    "striped spotted dotted checkered plaid patterned plain transparent clear translucent round "
    "square rectangular triangular circular oval spherical flat curved straight bent wooden "
    "metal metallic plastic stone golden rusty dusty dirty clean wet dry hot cold warm cool "
    "frozen fresh ripe rotten raw cooked delicious tasty sweet sour juicy spicy empty full open "
    "closed heavy light fast slow quick swift energetic agile nimble lazy busy rich poor strong "
    "weak muscular chubby plump skinny lean bald bearded majestic mighty proud noble magical "
    "mystical mythical futuristic robotic alien human male female asian african american european "
    "indian chinese japanese korean french german italian spanish british english russian "
    "mexican arctic tropical siberian persian siamese bengal scottish irish dutch swiss "
    "identical different similar various matching separate distinct same other more additional "
    "extra remaining such real realistic animated cartoon famous professional skilled "
    "traditional ornate delicate simple fancy luxurious expensive cheap broken old-fashioned "
    "lit unlit glowing sparkling smiling laughing crying barking left right upper lower front "
    "rear back inner outer first second third last final next early late daily free naked "
    "barefoot stylish fashionable festive exotic rare common unique strange odd weird mysterious "
    "crisp chic serene neon pastel iridescent bioluminescent opposite underwater nearby outside "
    "inside still quiet separate lush verdant leafy".split()
)
_ADJECTIVE_ENDINGS = (
    *("ous", "ful", "less", "ish", "ible", "able", "esque", "-like", "-sized", "-shaped"),
    *("-colored", "-coloured", "-haired", "-eyed"),
)
# Nouns that only end like adjectives.
_NOUN_ENDINGS = ("fish", "table", "dish", "cable", "bible", "handful", "armful", "wish")
_FALSE_ADJECTIVES = frozenset(
    "stable fable vegetable constable parable radish polish crucible mandible syllable".split()
)
# Adjectives that are just as well the noun itself: "one orange".
NOUN_ADJECTIVES = frozenset("orange light square human baby adult alien stone cartoon".split())
_LY_ADJECTIVES = frozenset(
    "friendly lonely lovely curly elderly ugly silly early woolly daily likely lively holly "
    "butterfly dragonfly firefly fly belly jelly lily family assembly ally bully rally jolly "
    "smelly wobbly bubbly prickly cuddly wrinkly sparkly costly motherly fatherly heavenly ghostly "
    "deadly oily hilly chilly frilly wooly gnarly scholarly kingly weekly monthly italy july "
    "mayfly housefly horsefly trolley dolly billy".split()
)
# Nouns, but verbs after somebody who does it: "a person painting".
_ING_DEEDS = frozenset(
    "painting building drawing carving icing stocking dressing crossing landing clearing cutting "
    "opening gathering bearing serving".split()
)
_DOER_ENDINGS = (
    *("er", "or", "ist", "man", "woman", "person", "child", "boy", "girl", "kid", "people"),
    *("robot", "bird", "dog", "cat", "chef"),
)
_ING_NOUNS = frozenset(
    "building painting wing king ring string ceiling railing swing spring clothing duckling "
    "sibling dumpling sapling starling fledgling gosling pudding wedding evening morning thing "
    "sterling viking earring nestling seedling yearling hatchling being sling sting inkling "
    "herring lightning offspring drawing carving icing darling lemming stocking awning "
    "dressing crossing landing clearing something nothing "
    "underling halfling changeling shilling cutting homecoming gathering opening".split()
)
_ED_NOUNS = frozenset(
    "bed shed sled seed weed reed breed steed red moped biped quadruped feed "
    "hundred kindred unwed bobsled feed speed greed creed deed need".split()
)
_PAST_VERBS = frozenset(
    "sat stood ran lay flew swam ate drank slept sang fell rose grew went came took gave held "
    "wore rode drove threw caught fought hung leapt crept swept swung spun spread set built "
    "made saw drew broke began shook slid knelt leaned woven worn torn seen shown taken given "
    "drawn driven ridden thrown caught held hung kept left lost made met built bent bound hidden "
    "covered".split()
)
# Verbs of motion, rest and gesture; both what things do in videos and, many of them, nouns too.
_VERBS = frozenset(
    "play watch sleep run walk jump dance sit stand fly swim chase eat drink graze hop leap climb "
    "crawl drift float glide soar dive sail march race ride drive roll spin swing sway stroll "
    "wander roam gallop trot sprint jog hike skate ski surf dash rush gather huddle perch rest nap "
    "lie lay lean kneel crouch hang fall rise land wait stare look gaze peek peer talk chat laugh "
    "smile sing bark meow howl roar chirp quack buzz hum cook bake read write paint draw build "
    "work fight wrestle box spar hug kiss hold carry wear wave clap cheer celebrate bounce tumble "
    "juggle toss throw catch kick hit pull push drag lift raise pour serve share enjoy explore "
    "travel cross pass follow lead circle surround line fill cover emerge appear disappear shine "
    "glow sparkle twinkle burn flicker blink bloom sprout grow melt crumble spread stretch shake "
    "tremble nod bow pose compete practice practise perform rehearse train study learn teach "
    "discuss argue debate inspect examine repair fix clean wash splash paddle row fish hunt prowl "
    "stalk pounce sniff lick nibble munch chew peck feed drip flow stream hover flutter flap "
    "migrate nest swoop dart scurry scamper frolic romp cuddle snuggle snooze doze relax sunbathe "
    "picnic camp meet greet shop browse cycle pedal bike load unload approach stop start begin "
    "turn move go come make take give get keep show display stay remain seem become use open "
    "close help compare create form decorate adorn illuminate overlook spiral orbit "
    "whirl twirl sashay parade patrol charge clash collide crash explode burst break skip slide "
    "sled snowboard parachute skydive bathe shiver yawn scratch groom preen strut waddle slither "
    "bob moo neigh bleat cluck crow hiss purr growl snarl sip slurp gobble devour snack dine feast "
    "gossip whisper shout scream yell cry weep wink blow sneeze cough type text film photograph "
    "swap trade exchange pick pluck harvest plant water dig plow mow chop slice cut stir mix knead "
    "knit sew weave solve assemble stack arrange hide seek search guard protect attack defend "
    "bask wade trek trudge tiptoe limp stumble strum drum conduct".split()
)


def is_adjective(word: str) -> bool:
    """Whether a lower-case word is known as an adjective or has an adjective's ending."""
    if word in _ADJECTIVES or is_participle(word):
        return True
    noun = word.endswith(_NOUN_ENDINGS) or word in _FALSE_ADJECTIVES
    return word.endswith(_ADJECTIVE_ENDINGS) and not noun


def is_participle(word: str) -> bool:
    """Whether a lower-case word is a participle by its ending: "running", "painted"."""
    return is_gerund(word) or (
        len(word) > 4 and word.endswith("ed") and word not in _ED_NOUNS and not word.endswith("eed")
    )


def is_gerund(word: str) -> bool:
    """Whether a lower-case word ends in -ing and is no noun that happens to."""
    last = word.rsplit("-", 1)[-1]
    return len(last) > 4 and last.endswith("ing") and last not in _ING_NOUNS


def is_deed(word: str, doer: str) -> bool:
    """Whether a noun in -ing is a verb after ``doer``: "a *person* painting"."""
    return word in _ING_DEEDS and doer.endswith(_DOER_ENDINGS)


def is_past_verb(word: str) -> bool:
    """Whether a lower-case word is an irregular past tense or participle."""
    return word in _PAST_VERBS


def is_adverb(word: str) -> bool:
    """Whether a lower-case word is an adverb in -ly or an intensifier."""
    return word in ("very", "extremely", "quite", "almost") or (
        len(word) > 4 and word.endswith("ly") and word not in _LY_ADJECTIVES
    )


def is_base_verb(word: str) -> bool:
    """Whether a lower-case word is known as a verb in its base form; many are nouns too."""
    return word in _VERBS


def is_s_verb(word: str) -> bool:
    """Whether a lower-case word is the third person of a known verb: "runs", "flies"."""
    if not word.endswith("s"):
        return False
    stems = {word[:-1]}
    if word.endswith("es"):
        stems.add(word[:-2])
    if word.endswith("ies"):
        stems.add(word[:-3] + "y")
    return not stems.isdisjoint(_VERBS)
