"""The large public sets: where they come from, how big they are, under which licence.

`python -m course_utils.corpus` lists them and fetches one; `public_sets` then finds its way in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from course_utils.public_sets.layouts import demand, esc50, librispeech, musan, voicebank_demand


@dataclass(frozen=True)
class Archive:
    """One file to fetch: address, name on the disk, bytes, and the MD5 sum if one is published."""

    url: str
    file: str
    size: int
    md5: str | None


@dataclass(frozen=True)
class PublicSet:
    """One set, or the part of a set that one fetches alone.

    `unpacked` is its size on the disk in bytes, roughly; `count` reads an unpacked folder and
    returns how many recordings or pairs it holds, or raises ValueError; `use` says which of its
    folders go to which option of `course_utils.train` or `evaluate`, a pattern for each.
    """

    name: str
    holds: str
    licence: str
    page: str
    archives: tuple[Archive, ...]
    unpacked: int
    count: Callable[[Path], int]
    use: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(archive.size for archive in self.archives)

    def options(self, folder: Path) -> str:
        """Write out `use` for an unpacked folder."""
        found = {name: sorted(folder.glob(p))[0] if p else folder for name, p in self.use.items()}
        return " ".join(f"--{name} {path}" for name, path in found.items())


def _count_pairs(folder: Path, split: str) -> int:
    """Count the pairs of VoiceBank+DEMAND, if every file has its partner."""
    names = [{path.name for path in d.glob("*.wav")} for d in voicebank_demand(folder, split=split)]
    if names[0] != names[1] or not names[0]:
        raise ValueError(
            f"folder must hold partners of the same names, got {str(folder)!r}, where some lack "
            "one; fetch it again."
        )
    return len(names[0])


def _datashare(identifier: str, file: str, size: int, md5: str) -> Archive:
    url = f"https://datashare.ed.ac.uk/server/api/core/bitstreams/{identifier}/content"
    return Archive(url, file, size, md5)


def _openslr(number: int, file: str, size: int, md5: str) -> Archive:
    return Archive(f"https://www.openslr.org/resources/{number}/{file}", file, size, md5)


# At 16 kHz. The record's eighteenth place, a café, exists at 48 kHz alone.
_DEMAND = """
DKITCHEN 110501049 7ffbf52d7f4699f96927846103dc8788
DLIVING   80170627 46741384d9e434a0bd8b3ec1830b6052
DWASHING 102343250 7e5ee9437ce9409c5f9a779b6212a240
NFIELD    86536782 a740046c6f4e174e16f5d568aaec5024
NPARK     86029332 80f1385a34d7f1705758926b57f138ce
NRIVER    98689565 54264db61d3fe073fb81f2e40e0d19b5
OHALLWAY  77941854 fe918bbb0e63e73d09ba7f4843ef33f1
OMEETING  82703355 62f7cfe7fe6d30b7d8a215fe37c2dfd2
OOFFICE   88995191 7b61cc2d182d5a654cb9c3101ddd4041
PCAFETER 107431494 99927d148128254141a9417d051510bb
PRESTO   111292815 b98d2e6854eeebb397f29a8ad7457092
PSTATION 119441094 d7448009f6c2aeb6ba570375df1750a3
SPSQUARE 110928528 205d0e7b8fe74504a2f8d252fc414b9e
STRAFFIC 118572691 2efa87262f272bbf9ba578088e81939c
TBUS     128916709 706b11b0d8504f9f3b3f3211e91b3863
TCAR     130045975 4d930012796bd298932245a26189f973
TMETRO   126589090 95daf4df678e13b120e14211e6d89571
"""

_VOICEBANK = "https://datashare.ed.ac.uk/handle/10283/2791"
_LIBRISPEECH = "https://www.openslr.org/12/"
_ESC50 = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"  # a commit: it stays as it is

# MD5: shown on the pages of DataShare and Zenodo, in LibriSpeech's md5sum.txt; MUSAN's is the one
# that speech toolkits compare with. GitHub makes its archives afresh and promises no checksum.
CATALOGUE = {
    entry.name: entry
    for entry in (
        PublicSet(
            name="voicebank-demand-train",
            holds="11,572 noisy/clean pairs, 28 voices",
            licence="CC BY 4.0",
            page=_VOICEBANK,
            archives=(
                _datashare(
                    "ecb5a102-bb00-46d3-8af5-40c79823b837", "noisy_trainset_28spk_wav.zip",
                    2_830_205_201, "1fca9e8bafb8cd069f6653c6d92f9e9c",
                ),
                _datashare(
                    "245452b6-6235-44b6-a6f9-e7eb19797769", "clean_trainset_28spk_wav.zip",
                    2_486_057_279, "d2d5a45ec32f8fcbf201bde0447e20ba",
                ),
            ),
            unpacked=6_500_000_000,
            count=lambda folder: _count_pairs(folder, "train"),
            use={side: f"{side}_trainset_28spk_wav" for side in ("noisy", "clean")},
        ),
        PublicSet(
            name="voicebank-demand-test",
            holds="824 noisy/clean pairs, 2 voices",
            licence="CC BY 4.0",
            page=_VOICEBANK,
            archives=(
                _datashare(
                    "13c1bfbf-14a6-41db-9b41-8f7310f01ad5", "noisy_testset_wav.zip",
                    170_600_000, "fb1b86caa31e8ba5b506c0c64da9aab5",
                ),
                _datashare(
                    "dec213d3-bf57-4777-9663-c24bdce92d5e", "clean_testset_wav.zip",
                    154_300_000, "34eb1c0ba7ef667e9b966866c542fc16",
                ),
            ),
            unpacked=400_000_000,
            count=lambda folder: _count_pairs(folder, "test"),
            use={side: f"{side}_testset_wav" for side in ("noisy", "clean")},
        ),
        PublicSet(
            name="librispeech-dev-clean",
            holds="5 hours of read English, 40 voices",
            licence="CC BY 4.0",
            page=_LIBRISPEECH,
            archives=(
                _openslr(
                    12, "dev-clean.tar.gz", 337_926_286, "42e2234ba48799c1f50f24a7926300a1"
                ),
            ),
            unpacked=350_000_000,
            count=lambda folder: len(librispeech(folder)),
            use={"speech": "LibriSpeech/dev-clean"},
        ),
        PublicSet(
            name="librispeech-train-clean-100",
            holds="100 hours of read English, 251 voices",
            licence="CC BY 4.0",
            page=_LIBRISPEECH,
            archives=(
                _openslr(
                    12, "train-clean-100.tar.gz",
                    6_387_309_499, "2a93770f6d5c6c964bc36631d331a522",
                ),
            ),
            unpacked=6_600_000_000,
            count=lambda folder: len(librispeech(folder)),
            use={"speech": "LibriSpeech/train-clean-100"},
        ),
        PublicSet(
            name="musan",
            holds="109 hours of noise, music and speech",
            licence="CC BY 4.0",
            page="https://www.openslr.org/17/",
            archives=(
                _openslr(
                    17, "musan.tar.gz", 11_086_114_085, "0c472d4fc0c5141eca47ad1ffeb2a7df"
                ),
            ),
            unpacked=12_600_000_000,
            count=lambda folder: sum(
                len(musan(folder, part=part)) for part in ("noise", "music", "speech")
            ),
            use={"noise": "musan/noise"},
        ),
        PublicSet(
            name="demand",
            holds="noise of 17 places, 5 minutes each",
            licence="CC BY-SA 3.0",
            page="https://zenodo.org/records/1227121",
            archives=tuple(
                Archive(
                    f"https://zenodo.org/records/1227121/files/{place}_16k.zip?download=1",
                    f"{place}_16k.zip", int(size), md5,
                )
                for place, size, md5 in map(str.split, _DEMAND.strip().splitlines())
            ),
            unpacked=2_600_000_000,
            count=lambda folder: len(demand(folder)),
            use={"noise": ""},
        ),
        PublicSet(
            name="esc-50",
            holds="2,000 clips of 5 s, 50 kinds of sound",
            licence="CC BY-NC 3.0",
            page="https://github.com/karolpiczak/ESC-50",
            archives=(
                Archive(
                    f"https://github.com/karolpiczak/ESC-50/archive/{_ESC50}.zip",
                    "ESC-50.zip", 645_832_161, None,
                ),
            ),
            unpacked=900_000_000,
            count=lambda folder: len(esc50(folder)),
            use={"noise": "*/audio"},  # its folder is named after the version
        ),
    )
}  # fmt: skip


def table() -> str:
    """Lay out the catalogue as text.

    Returns:
        A line for each set: name, size of the download and on the disk, licence, what it holds.

    Notebook: 01
    """
    lines = [f"{'name':27}  download  on disk  {'licence':12}  holds"]
    for entry in CATALOGUE.values():
        sizes = f"{entry.size / 1e9:5.1f} GB  {entry.unpacked / 1e9:4.1f} GB"
        lines.append(f"{entry.name:27}  {sizes}  {entry.licence:12}  {entry.holds}")
    return "\n".join(lines)
