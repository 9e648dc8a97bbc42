"""Nouns that numbers and articles stand before without counting things in the picture."""

# Units of time, length and the like: "two minutes", "5 km".
UNITS = frozenset(
    "second seconds minute minutes hour hours day days night nights week weeks month months year "
    "years decade decades century centuries am pm a.m p.m o'clock meter meters metre metres km "
    "kilometer kilometers kilometre kilometres cm centimeter centimeters centimetre centimetres "
    "mm millimeter millimeters inch inches mile miles yard ft mph kph kmh degree degrees percent "
    "per-cent dollar dollars euro euros pounds liter liters litre litres kg kilogram kilograms "
    "gram grams ton tons tonnes fps px pixel pixels frame bit bits times dpi hz mp kw "
    "celsius fahrenheit ounces oz gallons acre acres sec secs min mins hrs".split()
)
# After a unit these make it an age or a length.
UNIT_FOLLOWERS = frozenset(
    "old tall high deep long wide away above below from off under apart across".split()
)
# Said with a number, but never a thing to be seen: "on one side", "two ways".
UNCOUNTED = frozenset(
    "side sides way ways time direction directions moment moments end ends line row file accord "
    "go while bit lot little few number variety kind kinds type types sort sorts half halves "
    "quarter quarters third thirds style background foreground distance middle center centre "
    "hurry manner fashion pace speed mood atmosphere light darkness breeze wind glow sky "
    "weather sunset sunrise dawn dusk view angle look sense feeling step closer "
    "dimension dimensions perspective perspectives point unison formation motion movement "
    "another other thing turn".split()
)
BODY_PARTS = frozenset(
    "hand foot leg arm knee eye ear finger toe thumb elbow shoulder paw wing hoof fin claw "
    "cheek hip fist wheel".split()
)
# Beings in numbers: with or without "of", one of these leaves the number of its members open.
COLLECTIVES = frozenset(
    "group groups flock flocks herd herds pack packs crowd crowds team teams row rows set sets "
    "cluster clusters collection collections family families gang gangs swarm swarms school "
    "schools pod pods band bands line lines array arrays series couple couples pair pairs trio "
    "trios duo duos quartet quartets army armies troop troops squad squads crew crews fleet "
    "fleets litter litters colony colonies shoal shoals handful handfuls selection mix mixture "
    "assortment kinds types varieties sorts columns layers queue procession horde hordes mob "
    "audience class choir orchestra convoy batch batches multitude myriad bevy gaggle "
    "plethora host".split()
)
# Things by themselves, but before "of" they only hold the things that are meant.
HEAPS = frozenset(
    "stack pile bunch bouquet cloud heap chain string ring circle trail column layer range parade "
    "panel swath sea pride bundle basket box bowl plate tray jar bag".split()
)
# Two of them are worn or held as one thing.
PAIRED_GARMENTS = frozenset(
    "scissors glasses sunglasses eyeglasses spectacles goggles pants trousers jeans shorts tights "
    "leggings pajamas pyjamas headphones earphones binoculars pliers tongs tweezers shears "
    "overalls underpants knickers briefs".split()
)
# "A photo of …": the picture, not a thing in it.
MEDIA = frozenset(
    "video clip shot scene view close-up closeup footage film movie animation render rendering "
    "timelapse time-lapse panorama documentary snapshot depiction vista hyperlapse slow-motion "
    "recording sequence montage vlog visualization composition anime perspective".split()
)
# The same before "of"; by themselves they are things.
PICTURES = frozenset(
    "photo photograph picture image illustration painting drawing sketch portrait cartoon frame "
    "gif poster mosaic".split()
)
# Where things happen: a subject by grammar, but scenery by meaning.
PLACES = frozenset(
    "garden park room street beach field forest kitchen city town village road sea ocean lake "
    "river mountain hill valley meadow desert island sky farm yard backyard courtyard classroom "
    "office studio stage shop store market cafe restaurant bar library museum station airport "
    "harbor harbour port bay pond pool swamp jungle savanna savannah prairie countryside "
    "landscape seascape cityscape skyline alley square plaza hall hallway corridor garage barn "
    "stable workshop gym stadium arena playground landing clearing path trail coast shore "
    "shoreline coastline cliff cave canyon bedroom bathroom bakery factory laboratory lab church "
    "cathedral temple neighborhood neighbourhood suburb highway waterfall sunset sunrise galaxy "
    "universe world vineyard orchard zoo aquarium reef lagoon dock pier campsite rooftop terrace "
    "balcony patio porch lawn backdrop setting environment living-room diner pub".split()
)
# A number after these is a name: "Formula 1", "route 66".
LABELS = frozenset(
    "formula route apollo boeing airbus iphone windows playstation ps xbox no nr number chapter "
    "page version channel iso seed type vol volume episode mach falcon soyuz ar opus".split()
)
# The same unless "the" or "a" stands before them: "level 5", but "in the room two dogs".
WEAK_LABELS = frozenset(
    "highway level round day player part phase gate platform terminal room area model mark class "
    "grade stage step season take track lane pier studio district zone sector unit flight figure "
    "world war".split()
)
