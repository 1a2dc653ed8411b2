"""What is in the Debian packages: voices, kinds of noise, authors, licences, and the splits."""

from __future__ import annotations

import re
from dataclasses import dataclass

ASTERISK = "usr/share/asterisk/sounds"
FILLETS = "usr/share/games/fillets-ng/sound"
FILLETS_AUTHOR = (
    "Fish Fillets - Next Generation: Ivo Danihelka, Pavel Danihelka, ALTAR interactive, "
    "Frederic Panico, Ronny Standtke, Simone Cociancich, Przemek Bojczuk"
)
LINCITY_AUTHOR = "LinCity-NG, sound: Paulo Augusto, Robert van Herk, Pronobozo"
# Tones, screaming monkeys, and fish that imitate an engine (zvuky: Czech for sounds).
NOT_SPEECH = re.compile(
    r"^silence/|(^|/)(beep|beeperr|ascending-2tone|descending-2tone|tt-monkeys)$|-zvuky\d$"
)
TEST_VOICES = ("ivrvoice_ru", "nl_big")


@dataclass(frozen=True)
class Voice:
    """One voice in one language, and how to find its recordings in a package."""

    name: str
    language: str
    package: str
    folder: str
    author: str
    licence: str
    mark: str = ""  # the letter that tells the two fish apart in a file name

    @property
    def pattern(self) -> str:
        return f"{self.language}/*.ogg" if self.mark else "*.g722"

    def matches(self, name: str) -> bool:
        marked = not self.mark or re.search(rf"(^|[/-]){self.mark}-", name)
        return bool(marked) and NOT_SPEECH.search(name) is None

    def short(self, name: str) -> str:
        return name.replace(f"/{self.language}/", "/") if self.mark else name

    def family(self, name: str) -> str:
        """The sentence, however often it was recorded; a family lies in one split.

        Both languages of a package use the same names, so a sentence and its translation are one
        family. Asterisk repeats sentences under other prefixes and numbers: conf-muted and
        confbridge-muted, vm-tempgreeting and vm-tempgreeting2.
        """
        if self.mark:
            return "fillets/" + self.short(name)
        if "/" not in name:
            name = re.sub(r"^(agent|auth|conf|confbridge|pbx|priv|privacy|screen|vm)-", "", name)
            name = re.sub(r"-?(\d+|full|extended|nonextended|menu8)$", "", name)
            name = name.replace("please-", "pls-")
        return "asterisk/" + name


def _asterisk(name: str, language: str, folder: str, author: str, licence: str) -> Voice:
    package = f"asterisk-core-sounds-{language}-g722"
    return Voice(name, language, package, f"{ASTERISK}/{folder}", author, licence)


def _fish(name: str, language: str, mark: str) -> Voice:
    package = f"fillets-ng-data-{language}"
    return Voice(name, language, package, FILLETS, FILLETS_AUTHOR, "GPL-2.0", mark)


VOICES = [
    _asterisk("allison", "en", "en_US_f_Allison", "Allison Smith", "CC BY-SA 3.0"),
    _asterisk("allison", "es", "es_MX_f_Allison", "Allison Smith", "CC BY-SA 3.0"),
    _asterisk("june", "fr", "fr_CA_f_June", "June Wallack", "CC BY-SA 3.0"),
    _asterisk("carlo", "it", "it_IT_m_Carlo", "Carlo Flora", "CC BY 3.0"),
    _asterisk(
        "ivrvoice_ru",
        "ru",
        "ru_RU_f_IvrvoiceRU",
        "IvrvoiceRU, provided by Maxim Topal",
        "CC BY 3.0",
    ),
    _fish("cs_small", "cs", "m"),
    _fish("cs_big", "cs", "v"),
    _fish("nl_small", "nl", "m"),
    _fish("nl_big", "nl", "v"),
]

PACKAGES = sorted({voice.package for voice in VOICES}) + [
    "asterisk-moh-opsound-g722",
    "lincity-ng-data",
    "openttd-opensfx",
]

MUSIC = {
    "macroform-cold_day": "Paul Shuler (Macroform)",
    "macroform-robot_dity": "Paul Shuler (Macroform)",
    "macroform-the_simplicity": "Paul Shuler (Macroform)",
    "manolo_camp-morning_coffee": "Manolo Camp",
    "reno_project-system": "Reno Project",
}

# LinCity-NG names its sounds after the building that makes them: stem -> kind.
# Left out: Substation (spoken words), Click, Raze, Window (clicks of a fraction of a second).
LINCITY = {
    "Blacksmith": "tools", "Build": "tools", "MonumentConstruction": "tools", "Pottery": "tools",
    "CoalMine": "machines", "IndustryHigh": "machines", "IndustryLight": "machines",
    "Mill": "machines", "OreMine": "machines", "PowerCoalEmpty": "machines",
    "PowerCoalFull": "machines", "PowerCoalLow": "machines", "PowerCoalMed": "machines",
    "PowerSolar": "machines", "Recycle": "machines", "Tip": "machines",
    "WindMillHTech": "machines",
    "DirtTrack": "vehicles", "RailTrain": "vehicles", "TraficHigh": "vehicles",
    "TraficLow": "vehicles", "Rocket": "vehicles", "RocketTakeoff": "vehicles",
    "Water": "wind_water", "Harbor": "wind_water", "WindMill": "wind_water",
    "Farm": "nature", "OrganicFarm": "nature", "Green": "nature", "ParklandLake": "nature",
    "ParklandPlane": "nature", "Fire": "nature", "FireWasteland": "nature",
    "MarketEmpty": "crowd", "MarketLow": "crowd", "MarketMed": "crowd", "MarketFull": "crowd",
    "School": "crowd", "SportsCroud": "crowd",
    "Commune": "city", "Monument": "city", "ResidentialHigh": "city", "ResidentialLow": "city",
    "ResidentialLowLow": "city", "ResidentialMed": "city", "Shanty": "city",
    "University": "city",
    "FireStation": "signals", "Health": "signals", "RocketExplosion": "impacts",
}  # fmt: skip

# Single clips that are unlike the rest of their building, and one that is a voice.
LINCITY_CLIPS = {
    "School2": "signals", "Water2": "nature", "Harbor3": "nature", "Green4": "wind_water",
    "PowerSolar3": "nature",
}  # fmt: skip
LINCITY_LEFT_OUT = {"ResidentialMed3"}

# Buildings that share recordings, or cuts of one recording, are one family.
_SAME = {
    "Tip": "CoalMine", "WindMillHTech": "PowerSolar", "Harbor": "Water",
    "TraficHigh": "Trafic", "TraficLow": "Trafic", "RocketTakeoff": "Rocket",
    "RocketExplosion": "Rocket", "FireWasteland": "Fire",
}  # fmt: skip


def lincity_family(stem: str) -> str:
    """The family of a LinCity-NG sound: whatever might be cut from the same recording."""
    stem = _SAME.get(stem, stem)
    for prefix in ("Market", "Residential", "PowerCoal"):
        if stem.startswith(prefix):
            return prefix
    return stem


# OpenSFX: place in the catalogue -> (kind, family); the family is the original recording.
OPENSFX = {
    3: ("signals", "factory-whistle"), 4: ("signals", "steam-horn"), 5: ("signals", "steam-horn"),
    6: ("signals", "bergen"), 7: ("signals", "bergen"), 8: ("vehicles", "cessna"),
    9: ("vehicles", "passenger-jet"), 10: ("vehicles", "locomotive"), 11: ("machines", "elevator"),
    12: ("machines", "jacobs-ladder"), 13: ("machines", "steam"), 14: ("signals", "rr-crossing"),
    17: ("impacts", "crash"), 18: ("impacts", "explosion"), 19: ("impacts", "crash"),
    22: ("signals", "morse"), 24: ("vehicles", "helicopter"), 25: ("vehicles", "file0375"),
    26: ("vehicles", "file0375"), 27: ("vehicles", "london-bus"), 28: ("vehicles", "t-start"),
    29: ("crowd", "applause"), 30: ("crowd", "oooh"), 33: ("tools", "air-hammer"),
    38: ("nature", "horse"), 39: ("tools", "smithy"), 40: ("tools", "circular-saw"),
    44: ("machines", "nnb04"), 51: ("wind_water", "bubbles"), 52: ("wind_water", "wind"),
    53: ("impacts", "breakdown"), 55: ("tools", "cutting-tree"), 56: ("tools", "chainsaw"),
    57: ("wind_water", "wind"), 58: ("impacts", "train-breakdown"), 59: ("vehicles", "landing-jet"),
    60: ("vehicles", "file0375"), 61: ("vehicles", "blue-angels"), 62: ("vehicles", "file0375"),
    63: ("vehicles", "t-start"), 64: ("vehicles", "london-bus"), 65: ("vehicles", "metro"),
    66: ("nature", "bird"), 67: ("nature", "lion"), 68: ("nature", "monkeys"),
    69: ("vehicles", "propeller"), 70: ("vehicles", "passenger-jet"), 71: ("vehicles", "passby"),
    72: ("nature", "bird"),
}  # fmt: skip

# Families outside train; everything else is train.
NOISE_SPLIT = {
    **dict.fromkeys(
        ["Recycle", "chainsaw", "RailTrain", "london-bus", "bubbles", "OrganicFarm", "bird",
         "applause", "Commune", "rr-crossing", "manolo_camp-morning_coffee"], "validation"),
    **dict.fromkeys(
        ["IndustryHigh", "Mill", "jacobs-ladder", "circular-saw", "MonumentConstruction",
         "Trafic", "helicopter", "landing-jet", "metro", "wind", "Green", "SportsCroud",
         "Shanty", "FireStation", "reno_project-system"], "test"),
}  # fmt: skip

_LICENCES = {
    "Creative Commons Attribution-ShareAlike 3.0": "CC BY-SA 3.0",
    "Creative Commons Attribution 3.0": "CC BY 3.0",
    "Creative Commons Zero 1.0": "CC0 1.0",
}


def parse_opensfx(text: str) -> tuple[str, str, str]:
    """Title, authors and licence from an entry such as

    "Sawmill". Original "saw.wav" by "Benboncan". Edited by "Wuzzy". License: ... 3.0 Unported.
    """
    name = re.match(r'"([^"]+)"', text).group(1)
    licence = next(short for long, short in _LICENCES.items() if f"License: {long}" in text)
    body = text[len(name) + 2 : text.index("License:")]
    made, _, edited = re.sub(
        r"(Cut|Mixed)( and |/)edited by|Edited and mixed by", "Edited by", body
    ).partition("Edited by")
    works = re.findall(r'(?:Orig?i?nal |, | and |^)?"([^"]+\.[a-z0-9]+|[^"]*Elevator)" by ', made)
    makers = re.findall(r'\b[Bb]y ("[^"]+"|[^".,]+?(?: aka "[^"]+")?)(?=[.,]| and |$)', made)
    authors = [
        maker.strip('"').replace(' aka "', ' ("').replace('("', "(").replace('"', ")")
        if " aka " in maker
        else maker.strip('" ')
        for maker in makers
    ]
    if edited:
        authors.append("edited by " + edited.strip(' ."\n'))
    title = f"{name} (original {', '.join(works)})" if works else name
    return title, "; ".join(dict.fromkeys(authors)), licence


# The ready pairs: split, voice, which of its sentences, noise, SNR in dB (VoiceBank+DEMAND's SNRs).
PAIRS = [
    ("train", "allison", 3, "machines_coalmine2", 0),
    ("train", "june", 2, "vehicles_truck-old-bus-start-pull-away", 5),
    ("train", "carlo", 4, "tools_blacksmith1", 10),
    ("train", "cs_small", 5, "crowd_marketfull1", 15),
    ("train", "cs_big", 1, "wind_water_windmill3", 0),
    ("train", "nl_small", 6, "city_residentialhigh2", 5),
    ("train", "allison", 30, "music_macroform-cold-day", 10),
    ("train", "june", 20, "machines_oremine1", 15),
    ("test", "ivrvoice_ru", 1, "vehicles_helicopter", 2.5),
    ("test", "nl_big", 2, "machines_industryhigh1", 7.5),
    ("test", "ivrvoice_ru", 4, "tools_sawmill", 12.5),
    ("test", "nl_big", 5, "crowd_sportscroud1", 17.5),
    ("test", "ivrvoice_ru", 7, "music_reno-project-system", 2.5),
    ("test", "nl_big", 8, "vehicles_traficlow1", 7.5),
]


def pair_licence(speech, noise) -> str:
    """The licence of a mixture. Works under GPL 2 and Creative Commons do not mix freely.

    LinCity-NG offers its sounds under both, so the fish are mixed with its sounds only; a mixture
    of Creative Commons works carries the strictest of their licences, in the later version.
    """
    if speech.licence == "GPL-2.0":
        if noise.source != "lincity-ng-data":
            raise ValueError(f"{speech.name} (GPL-2.0) cannot be shared mixed with {noise.name}.")
        return "GPL-2.0"
    alike = "BY-SA" in speech.licence + noise.licence
    return "CC BY-SA 3.0" if alike else "CC BY 3.0"
