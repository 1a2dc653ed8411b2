"""What only the full set holds: more voices and noises, where they lie, and who made them.

A voice or a package of noises lies in one split as a whole. What is in `validation` here appears
nowhere in train, neither the voice nor the recording, and as a rule not even the package.
"""

from __future__ import annotations

from dataclasses import dataclass

KLETTRES = "usr/share/klettres"
KTUBERLING = "usr/share/ktuberling/sounds"
STAMPS = "usr/share/tuxpaint/stamps"
HORIZONS = "usr/share/unknown-horizons/content/audio"
NEXUIZ = "usr/share/games/nexuiz/data/data.pk3"
PUBLIC_ZIP = "usr/share/games/0ad/mods/public/public.zip"

KLETTRES_AUTHOR = "KLettres: Anne-Marie Mahfouf and the voices of the KDE project"
KTUBERLING_AUTHOR = "KTuberling: Albert Astals Cid, Éric Bischoff and the voices of KDE"
STAMPS_AUTHOR = "Tux Paint: Bill Kendrick and its translators"
HORIZONS_AUTHOR = "Unknown Horizons Team"
NEXUIZ_AUTHOR = "Nexuiz: Alientrap, Lee Vermeulen"
KAJONGG_AUTHOR = "Kajongg: Wolfgang Rohdewald and the voices of KDE"


@dataclass(frozen=True)
class Words:
    """Short recordings of one voice, to be joined to utterances, or whole sentences.

    `pattern` is looked for below the package's folder, or inside of `archive`, a zip.
    """

    name: str
    language: str
    package: str
    pattern: str
    author: str
    licence: str
    split: str = "train"
    archive: str = ""
    sentences: bool = False  # long enough to stand alone


@dataclass(frozen=True)
class Noises:
    """Recordings of one kind of noise from one package."""

    kind: str
    package: str
    pattern: str
    author: str
    licence: str
    split: str = "train"
    archive: str = ""
    without: tuple[str, ...] = ()  # parts of names that are left out


def _klettres(language: str, split: str = "train") -> Words:
    pattern = f"{KLETTRES}/{language}/*/*.ogg"
    name = f"klettres_{language.lower()}"
    return Words(name, language[:2], "klettres-data", pattern, KLETTRES_AUTHOR, "GPL-2.0+", split)


def _ktuberling(language: str, split: str) -> Words:
    pattern = f"{KTUBERLING}/{language}/*"
    name = f"ktuberling_{language}"
    return Words(name, language, "ktuberling-data", pattern, KTUBERLING_AUTHOR, "GPL-2.0+", split)


def _stamps(language: str) -> Words:
    pattern = f"{STAMPS}/**/*_desc_{language}.ogg"
    name = f"stamps_{language}"
    return Words(name, language, "tuxpaint-stamps-default", pattern, STAMPS_AUTHOR, "GPL-2.0")


def _horizons(language: str) -> Words:
    pattern = f"{HORIZONS}/voice/{language}/**/*.ogg"
    name = f"horizons_{language}"
    return Words(
        name, language, "unknown-horizons", pattern, HORIZONS_AUTHOR, "CC BY-SA 3.0", "validation"
    )


# Left out, since the same person may speak in train and in validation: KLettres' English and
# French, Tux Paint's Catalan, Greek, French and Romanian. Left out for their rooms and their noise:
# Tux Paint's Bulgarian, Danish, Russian and Spanish, KLettres' Hungarian and others.
MORE_VOICES = [
    Words(
        "nshmyrev", "ru", "festvox-ru",
        "usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav/*.wav",
        "Nickolay V. Shmyrev", "BSD-like (festvox-ru)", sentences=True,
    ),
    *map(_klettres, ["ar", "cs", "da", "de", "en_GB", "es", "he", "it", "lt", "nl", "pt_BR"]),
    *map(_klettres, ["ru", "uk"]),
    *(_ktuberling(language, "train") for language in ("da", "de", "lt", "ru", "uk")),
    _stamps("be"),
    Words(
        "nexuiz_en", "en", "nexuiz-data", "sound/tutorial/[0-9]*.ogg", NEXUIZ_AUTHOR, "GPL-2.0+",
        "validation", NEXUIZ, sentences=True,
    ),
    *(_ktuberling(language, "validation") for language in ("ca", "el", "en", "fr", "ga", "nn")),
    _ktuberling("ro", "validation"),
    Words(
        "kajongg_en", "en", "kajongg", "usr/share/kajongg/voices/male2/*.ogg", KAJONGG_AUTHOR,
        "GPL-2.0+", "validation",
    ),
    *map(_horizons, ["en", "de", "fr"]),
]  # fmt: skip


# The sounds inside of Blanket's one large file, in their order there: name, kind, author, licence,
# split. Pink and white noise come from formulas and are left out.
BLANKET = [
    ("city", "city", "Gezorten Plotz", "CC BY 3.0", "train"),
    ("stream", "wind_water", "Gluckose", "CC0 1.0", "train"),
    ("train", "vehicles", "Daniel Miller", "CC BY 3.0", "train"),
    ("fireplace", "nature", "ezwa", "public domain", "train"),
    ("boat", "vehicles", "Falcet", "CC0 1.0", "train"),
    ("summer-night", "nature", "Lisa Redfern", "public domain", "train"),
    ("wind", "wind_water", "Felix Blume", "CC0 1.0", "train"),
    ("rain", "wind_water", "Alex 36917", "CC BY 4.0", "train"),
    None,
    ("birds", "nature", "Kevin Garlic", "CC0 1.0", "train"),
    ("coffee-shop", "crowd", "stephan", "public domain", "validation"),
    ("waves", "wind_water", "Luftrum", "CC BY 4.0", "train"),
    None,
    ("storm", "wind_water", "Digifish Music", "CC BY 4.0", "train"),
]
BLANKET_FILE = "usr/share/blanket/blanket.gresource"


def _group(package: str, author: str, licence: str, patterns: dict, **options) -> list[Noises]:
    """Several kinds of noise of one package: kind -> patterns."""
    return [
        Noises(kind, package, pattern, author, licence, **options)
        for kind, several in patterns.items()
        for pattern in several
    ]


def _kart(kind: str, name: str, author: str, licence: str) -> Noises:
    pattern = f"usr/share/games/supertuxkart/data/{name}.ogg"
    return Noises(kind, "supertuxkart-data", pattern, author, licence, "validation")


UFO = "sound/ambience"
UFO_LEFT_OUT = ("disco", "jingle", "radiomessage", "tv_news", "aliencom", "wormhole", "atmo")
OPENARENA = "sound/world"
EMPIRES = "audio"
WIDELANDS = "usr/share/games/widelands/data/sound"
FLARE = "usr/share/games/flare/mods/*/soundfx/environment"

MORE_NOISES = [
    *_group(
        "ufoai-sound", "UFO: Alien Invasion, its team", "GPL-2.0+",
        {
            "nature": [f"{UFO}/*fire*.ogg", f"{UFO}/thunder*.ogg", f"{UFO}/cricket*.ogg",
                       f"{UFO}/ufo_night*.ogg"],
            "wind_water": [f"{UFO}/*water*.ogg", f"{UFO}/arcticwind.ogg", f"{UFO}/wind_tur*.ogg"],
            "city": [f"{UFO}/*city*.ogg"],
            "machines": [f"{UFO}/machine1.ogg", f"{UFO}/alien*.ogg", f"{UFO}/engine*.ogg",
                         f"{UFO}/hum*.ogg", f"{UFO}/steam.ogg", f"{UFO}/lights*.ogg",
                         f"{UFO}/spark*.ogg", f"{UFO}/dron*.ogg", "sound/ugv/*.ogg"],
            "impacts": ["sound/misc/break*.ogg", f"{UFO}/creak.ogg"],
            "signals": [f"{UFO}/tv_static.ogg"],
        },
        archive="usr/share/games/ufoai/base/0snd.pk3", without=UFO_LEFT_OUT,
    ),
    *_group(
        "ufoai-sound", "Manuel Marino", "CC BY 3.0", {"machines": [f"{UFO}/minepump03.ogg"]},
        archive="usr/share/games/ufoai/base/0snd.pk3",
    ),
    *_group(
        "gnome-shell-pomodoro-data", "gnome-pomodoro contributors", "GPL-3.0+",
        {"nature": ["usr/share/gnome-pomodoro/sounds/birds.ogg"],
         "household": ["usr/share/gnome-pomodoro/sounds/clock.ogg"]},
    ),
    *_group(
        "openarena-data", "OpenArena, its team", "GPL-2.0+",
        {
            "nature": [f"{OPENARENA}/fire*.wav"],
            "wind_water": [f"{OPENARENA}/wind*.wav", f"{OPENARENA}/waterfall.wav",
                           f"{OPENARENA}/drops.wav", f"{OPENARENA}/demonwind01.wav"],
            "machines": [f"{OPENARENA}/fan4.wav", f"{OPENARENA}/machinery*.wav",
                         f"{OPENARENA}/tim_machine.wav", f"{OPENARENA}/neonhum.wav"],
        },
        archive="usr/share/games/openarena/baseoa/pak0.pk3",
    ),
    *_group(
        "nexuiz-data", NEXUIZ_AUTHOR, "GPL-2.0+",
        {
            "machines": ["sound/ambient/machine*.ogg", "sound/desertfactory/*_loop.wav",
                         "sound/ambient/air.ogg", "sound/desertfactory/steam*.wav"],
            "wind_water": ["sound/ambient/water.ogg", "sound/desertfactory/wind*"],
        },
        archive=NEXUIZ, without=("radio", "windoutside_loop"),
    ),
    *_group(
        "widelands-data", "Widelands Development Team", "GPL-2.0+",
        {
            "tools": [f"{WIDELANDS}/atlanteans/*/*.ogg", f"{WIDELANDS}/barbarians/*.ogg",
                      f"{WIDELANDS}/hammering/*.ogg", f"{WIDELANDS}/smiths/*.ogg",
                      f"{WIDELANDS}/stonecutting/*.ogg", f"{WIDELANDS}/woodcutting/*.ogg",
                      f"{WIDELANDS}/sawmill/*.ogg", f"{WIDELANDS}/metal/*.ogg"],
            "machines": [f"{WIDELANDS}/mill/*.ogg"],
            "nature": [f"{WIDELANDS}/animals/*.ogg", f"{WIDELANDS}/farm/*.ogg"],
            "household": [f"{WIDELANDS}/empire/taverns/*.ogg"],
        },
    ),
    *_group(
        "tuxpaint-stamps-default", STAMPS_AUTHOR, "GPL-2.0",
        {
            "nature": [f"{STAMPS}/animals/**/*[a-z].ogg", f"{STAMPS}/naturalforces/*.ogg"],
            "household": [f"{STAMPS}/household/**/*.ogg"],
            "vehicles": [f"{STAMPS}/vehicles/**/*.ogg"],
        },
        without=("_desc",),
    ),
    *_group(
        "0ad-data", "0 A.D.: Wildfire Games and its contributors", "CC BY-SA 3.0",
        {
            "nature": [f"{EMPIRES}/ambient/dayscape/*.ogg", f"{EMPIRES}/attack/fire/*.ogg",
                       f"{EMPIRES}/ambient/building/amb_farm*.ogg",
                       f"{EMPIRES}/resource/foraging/leaves*.ogg"],
            "crowd": [f"{EMPIRES}/ambient/building/amb_trade*.ogg",
                      f"{EMPIRES}/ambient/building/amb_port*.ogg"],
            "wind_water": [f"{EMPIRES}/ambient/water/*.ogg", f"{EMPIRES}/ambient/weather/*.ogg"],
            "tools": [f"{EMPIRES}/resource/lumbering/*.ogg"],
            "impacts": [f"{EMPIRES}/attack/destruction/*.ogg"],
        },
        # The three recordings of wind and snow end at 4.5 kHz.
        archive=PUBLIC_ZIP, without=("snowstorm_11", "wind_11", "windstorm_11"),
    ),
    *_group(
        "flare-game", "Flare: Clint Bellanger and others", "CC BY-SA 3.0",
        {
            "wind_water": [f"{FLARE}/*wind*.ogg", f"{FLARE}/rain.ogg", f"{FLARE}/river*.ogg",
                           f"{FLARE}/*droplets*.ogg"],
            "nature": [f"{FLARE}/*owl*.ogg", f"{FLARE}/bird*.ogg", f"{FLARE}/raven*.ogg"],
            "tools": [f"{FLARE}/anvil*.ogg"],
        },
        split="validation",
    ),
    *_group(
        "unknown-horizons", HORIZONS_AUTHOR, "CC BY-SA 3.0",
        {
            "tools": [f"{HORIZONS}/sounds/{name}.ogg"
                      for name in ("stonemason", "lumberjack_long", "smith")],
            "crowd": [f"{HORIZONS}/sounds/{name}.ogg"
                      for name in ("tavern", "main_square", "warehouse")],
            "nature": [f"{HORIZONS}/sounds/sheepfield.ogg"],
            "machines": [f"{HORIZONS}/sounds/windmill.ogg"],
        },
        split="validation",
    ),
    _kart("vehicles", "sfx/airplane_jetEngine", "Fritz Schlüter", "CC BY-SA 3.0"),
    _kart("household", "sfx/clock", "Natalie (pdsounds.org)", "public domain"),
    _kart("vehicles", "sfx/engine_small", 'Ivan "qubodup" Gabovitch', "CC BY-SA 3.0"),
    _kart("nature", "sfx/exotic-birds", 'James "swiftoid" Swift', "CC0 1.0"),
    _kart("nature", "sfx/exotic-birds_2", "mpfeiffer (www.monoacustico.com)", "CC0 1.0"),
    _kart("crowd", "sfx/lenautile_restaurant", "Alcappuccino", "CC0 1.0"),
    _kart("wind_water", "sfx/river_loop", "Adam Newns (www.vennaudio.com)", "CC0 1.0"),
    _kart("wind_water", "sfx/waterfall_loop_2", 'Leonard "VKProduktion" Graf', "CC0 1.0"),
    _kart("vehicles", "sfx/car_revup", "Mike Koenig", "CC BY 3.0"),
    _kart("crowd", "sfx/goal_scored", "jordiroquer", "CC BY 3.0"),
    _kart("impacts", "sfx/fireworks_show", "sl130594", "CC0 1.0"),
    _kart("vehicles", "tracks/black_forest/steamLocomotive", "Daniel Simion", "CC BY-SA 3.0"),
]  # fmt: skip

# Single key presses, of which typing is put together.
KEYS = Noises(
    "household", "bucklespring-data", "usr/share/buckle/wav/*.wav", "Ico Doornekampt", "GPL-2.0+"
)

# Debian has it since edition 13.
NOT_EVERYWHERE = {"blanket"}

MORE_PACKAGES = sorted(
    {words.package for words in MORE_VOICES}
    | {noises.package for noises in MORE_NOISES}
    | {KEYS.package, "blanket"}
)
