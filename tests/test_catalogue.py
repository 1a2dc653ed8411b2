"""The catalogue: official places, plausible sizes, sums of the right length, readable sets."""

import re
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile

from course_utils.public_sets.catalogue import CATALOGUE, table

entries = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.name)
OFFICIAL = {"datashare.ed.ac.uk", "www.openslr.org", "zenodo.org", "github.com"}


@entries
def test_everything_comes_from_its_official_place_over_https(entry):
    for url in (entry.page, *(archive.url for archive in entry.archives)):
        parts = urlparse(url)
        assert parts.scheme == "https" and parts.hostname in OFFICIAL
        assert parts.hostname == urlparse(entry.page).hostname


@entries
def test_archives_have_names_sizes_and_sums(entry):
    for archive in entry.archives:
        assert re.fullmatch(r"[\w-]+\.(zip|tar\.gz)", archive.file)
        assert archive.md5 is None or re.fullmatch(r"[0-9a-f]{32}", archive.md5)
        assert archive.size > 10_000_000
    # Sound packs into half its size at best, so the two must be of one kind.
    assert 0.5 * entry.unpacked < entry.size <= entry.unpacked
    assert entry.licence.startswith("CC BY")


def test_no_archive_and_no_sum_stands_there_twice():
    archives = [archive for entry in CATALOGUE.values() for archive in entry.archives]
    for values in (
        [archive.file for archive in archives],
        [archive.url for archive in archives],
        [archive.md5 for archive in archives if archive.md5],
    ):
        assert len(values) == len(set(values))
    assert [a.file for a in archives if a.md5 is None] == ["ESC-50.zip"]


def test_the_table_has_a_line_for_each_set_with_size_and_licence():
    head, *lines = table().splitlines()
    assert len(lines) == len(CATALOGUE) and max(map(len, [head, *lines])) <= 100
    for line, entry in zip(lines, CATALOGUE.values(), strict=True):
        assert line.startswith(entry.name) and entry.licence in line and entry.holds in line
        assert f"{entry.size / 1e9:.1f} GB" in line


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.full(160, 0.1), 16_000)


STAND_INS = {
    "voicebank-demand-train": [
        f"{side}_trainset_28spk_wav/p226_00{n}.wav" for side in ("noisy", "clean") for n in (1, 2)
    ],
    "voicebank-demand-test": [
        f"{side}_testset_wav/p232_00{n}.wav" for side in ("noisy", "clean") for n in (1, 2)
    ],
    "librispeech-dev-clean": [f"LibriSpeech/dev-clean/84/1/84-1-000{n}.flac" for n in (0, 1)],
    "librispeech-train-clean-100": [
        f"LibriSpeech/train-clean-100/19/1/19-1-000{n}.flac" for n in (0, 1)
    ],
    "musan": ["musan/noise/a/n.wav", "musan/music/b/m.wav", "musan/speech/c/s.wav"],
    "demand": ["TBUS/ch01.wav", "TBUS/ch02.wav", "NPARK/ch01.wav", "NPARK/ch02.wav"],
    "esc-50": ["ESC-50-x/audio/1-1-A-0.wav", "ESC-50-x/audio/1-2-A-0.wav"],
}


@entries
def test_an_unpacked_set_is_counted_and_an_empty_folder_is_refused(entry, tmp_path):
    with pytest.raises(ValueError, match="folder"):
        entry.count(tmp_path)
    write(tmp_path, *STAND_INS[entry.name])
    if entry.name == "esc-50":
        (tmp_path / "ESC-50-x" / "meta").mkdir()
        rows = "filename,category,src_file\n1-1-A-0.wav,dog,1\n1-2-A-0.wav,dog,2\n"
        (tmp_path / "ESC-50-x" / "meta" / "esc50.csv").write_text(rows)
    assert entry.count(tmp_path) == (3 if entry.name == "musan" else 2)
    words = entry.options(tmp_path).split()
    assert set(words[::2]) in ({"--noisy", "--clean"}, {"--speech"}, {"--noise"})
    # Sound and nothing else to find there, and of MUSAN and ESC-50 only what is noise.
    held = {path for folder in words[1::2] for path in Path(folder).rglob("*.*")}
    assert held and {path.suffix for path in held} <= {".wav", ".flac"}
    assert entry.name != "musan" or {path.name for path in held} == {"n.wav"}


def test_a_pair_without_its_partner_is_noticed(tmp_path):
    write(tmp_path, *STAND_INS["voicebank-demand-test"], "noisy_testset_wav/p232_003.wav")
    with pytest.raises(ValueError, match="partners"):
        CATALOGUE["voicebank-demand-test"].count(tmp_path)
