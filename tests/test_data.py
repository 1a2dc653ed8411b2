"""The committed sounds: what the manifest, the README and the splits promise, held to the files."""

import csv
import hashlib
import re
import struct
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import soundfile

from course_utils.corpus import DATA_DIR, Clip, check_files, load_manifest, pair_folders

sys.path.insert(0, str(DATA_DIR))
import build_data  # noqa: E402
import catalogue  # noqa: E402

SPLITS = ("train", "validation", "test")
TRAINING_VOICES = {"allison", "june", "carlo", "cs_small", "cs_big", "nl_small"}
TEST_VOICES = {"ivrvoice_ru", "nl_big"}
TELEPHONE = {"allison", "june", "carlo", "ivrvoice_ru"}
SAME_TAKE = 0.3  # far above what two different recordings reach


@pytest.fixture(scope="module")
def clips():
    return load_manifest()


@pytest.fixture(scope="module")
def sounds(clips):
    """Every clip's samples, float64, read with soundfile alone."""
    return {clip.file: soundfile.read(clip.path, dtype="float64")[0] for clip in clips}


@pytest.fixture(scope="module")
def pairs():
    with open(DATA_DIR / "pairs" / "pairs.csv", newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def frame_levels(samples, size=320):
    """The level of every 20 ms, in dBFS."""
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return 10 * np.log10((frames**2).mean(axis=1) + 1e-12)


# --- files and manifest ------------------------------------------------------------------------


def test_every_file_is_listed_once_and_has_its_checksum(clips):
    files = [clip.file for clip in clips]
    on_disk = {
        path.relative_to(DATA_DIR).as_posix()
        for folder in ("speech", "noise", "rooms")
        for path in (DATA_DIR / folder).rglob("*")
    }
    assert len(set(files)) == len(files)
    assert set(files) == on_disk
    assert check_files() == len(clips)


def test_no_two_files_are_the_same(clips):
    assert len({clip.sha256 for clip in clips}) == len(clips)


def test_every_row_is_complete(clips):
    folders = {"speech": "speech/", "noise": "noise/", "room": "rooms/"}
    for clip in clips:
        assert clip.file.startswith(folders[clip.role]) and clip.file.endswith(".flac")
        assert clip.split in SPLITS
        assert all([clip.kind, clip.title, clip.author, clip.licence, clip.source]), clip.file
        assert bool(clip.language) == (clip.role == "speech"), clip.file


def test_every_file_is_mono_16_khz_16_bit_flac_of_the_stated_length(clips):
    for clip in clips:
        info = soundfile.info(clip.path)
        assert (info.format, info.subtype) == ("FLAC", "PCM_16"), clip.file
        assert (info.samplerate, info.channels) == (16_000, 1), clip.file
        assert info.frames / 16_000 == pytest.approx(clip.duration, abs=1e-3), clip.file


def test_lengths(clips):
    for clip in clips:
        low, high = {"speech": (2.0, 8.0), "noise": (1.5, 12.0), "room": (0.05, 1.5)}[clip.role]
        assert low <= clip.duration <= high, clip.file


def test_nothing_clips_and_nothing_is_silent(sounds):
    for file, samples in sounds.items():
        assert np.abs(samples).max() <= 0.98, file
        top = np.abs(samples).max()
        flat = (np.abs(samples) > 0.999 * top) & (np.abs(np.diff(samples, prepend=0)) == 0)
        assert flat.sum() <= 2, f"{file} has a flat top"
        if not file.startswith("rooms/"):
            assert frame_levels(samples).max() > -40, file
            assert abs(samples.mean()) < 0.1 * samples.std(), f"{file} has an offset"


def test_clips_share_one_level(sounds):
    for file, samples in sounds.items():
        if file.startswith("rooms/"):
            continue
        levels = frame_levels(samples)
        active = levels[levels > np.percentile(levels, 95) - 30]
        level = 10 * np.log10(np.mean(10 ** (active / 10)))
        full = np.abs(samples).max() > 0.97  # held back by its peak
        assert full or level == pytest.approx(-30, abs=0.5), (file, level)


def test_speech_begins_and_ends_soon(sounds):
    for file, samples in sounds.items():
        if file.startswith("speech/"):
            levels = frame_levels(samples)
            loud = np.flatnonzero(levels > np.percentile(levels, 95) - 41)
            assert loud[0] * 0.02 <= 0.3 and len(samples) / 16_000 - loud[-1] * 0.02 <= 0.3, file


def test_speech_stands_above_its_background(clips, sounds):
    ranges = defaultdict(list)
    for clip in clips:
        if clip.role == "speech":
            levels = frame_levels(sounds[clip.file])
            ranges[clip.kind].append(np.percentile(levels, 95) - np.percentile(levels, 5))
    for voice, values in ranges.items():
        assert np.median(values) >= 29, voice
        assert min(values) >= 22, voice


def test_all_together_stay_below_45_mb():
    ours = ["speech", "noise", "rooms", "pairs", "pretrained"]
    files = [path for folder in ours for path in (DATA_DIR / folder).rglob("*") if path.is_file()]
    files += [path for path in DATA_DIR.iterdir() if path.is_file()]
    kept = [path for path in files if not path.name.endswith(".last.pt")]  # git ignores these
    assert sum(path.stat().st_size for path in kept) <= 45e6


# --- what there is -----------------------------------------------------------------------------


def test_minutes_and_voices(clips):
    minutes = Counter()
    for clip in clips:
        if clip.role == "speech":
            minutes[clip.kind] += clip.duration / 60
    assert 35 <= minutes.total() <= 40
    assert set(minutes) == TRAINING_VOICES | TEST_VOICES
    assert all(minutes[voice] >= 4.5 for voice in TRAINING_VOICES)
    assert all(minutes[voice] >= 2.4 for voice in TEST_VOICES)
    telephone = sum(minutes[voice] for voice in TELEPHONE)
    assert 0.4 <= telephone / minutes.total() <= 0.6  # neither chain dominates


def test_languages(clips):
    spoken = {(clip.kind, clip.language) for clip in clips if clip.role == "speech"}
    assert spoken == {
        *[("allison", "en"), ("allison", "es"), ("june", "fr"), ("carlo", "it")],
        *[("ivrvoice_ru", "ru"), ("cs_small", "cs"), ("cs_big", "cs")],
        *[("nl_small", "nl"), ("nl_big", "nl")],
    }


def test_kinds_of_noise(clips):
    kinds = {
        split: Counter(c.kind for c in clips if (c.role, c.split) == ("noise", split))
        for split in SPLITS
    }
    total = sum(counter.total() for counter in kinds.values())
    assert total >= 60
    expected = {"machines", "tools", "vehicles", "wind_water", "nature", "crowd", "city", "music"}
    assert set(kinds["train"]) == expected | {"signals", "impacts"}
    for split in ("validation", "test"):
        assert set(kinds[split]) == expected | {"signals"}


def test_rooms(clips, sounds):
    rooms = [clip for clip in clips if clip.role == "room"]
    assert Counter(clip.split for clip in rooms) == {"train": 4, "validation": 2, "test": 2}
    assert len({clip.kind for clip in rooms}) == 8
    for clip in rooms:
        response = sounds[clip.file]
        assert response[0] == pytest.approx(0.9, abs=1e-3)  # the direct path comes first
        assert np.abs(response[1:]).max() < 0.9  # and is the strongest
        decay = np.cumsum(response[::-1] ** 2)[::-1]
        decay = 10 * np.log10(decay / decay[0] + 1e-12)
        stretch = (decay < -5) & (decay > -25)
        slope = np.polyfit(np.flatnonzero(stretch) / 16_000, decay[stretch], 1)[0]
        stated = float(re.search(r"reverberation time (\d\.\d\d) s", clip.title).group(1))
        assert -60 / slope == pytest.approx(stated, rel=0.2), clip.kind
        assert 0.2 <= stated <= 0.8


# --- splits ------------------------------------------------------------------------------------


def families(clips):
    """What was recorded -> the splits it is in."""
    found = defaultdict(set)
    languages = {(voice.name, voice.language): voice for voice in catalogue.VOICES}
    for clip in clips:
        if clip.role == "speech" and clip.kind in TRAINING_VOICES:
            found[languages[clip.kind, clip.language].family(clip.title)].add(clip.split)
        elif clip.source == "openttd-opensfx":
            for original in re.findall(r"\(original (.*)\)$", clip.title):
                for name in original.split(", "):
                    found["opensfx " + name].add(clip.split)
        elif clip.source == "lincity-ng-data":
            stem = re.sub(r"\d+$", "", clip.title)
            found["lincity " + catalogue.lincity_family(stem)].add(clip.split)
        elif clip.role != "speech":
            found[clip.title.split(",")[0]].add(clip.split)
    return found


def test_test_voices_are_in_no_other_split(clips):
    spoken = {(clip.kind, clip.split) for clip in clips if clip.role == "speech"}
    expected = set(product(TRAINING_VOICES, ("train", "validation")))
    assert spoken == expected | set(product(TEST_VOICES, ("test",)))


def test_no_sentence_noise_or_track_lies_in_two_splits(clips):
    found = families(clips)
    assert len(found) > 300
    assert {name: splits for name, splits in found.items() if len(splits) > 1} == {}


def test_the_check_of_families_can_fail(clips):
    track = next(clip for clip in clips if clip.kind == "music")
    leaked = [*clips, replace(track, file="noise/again.flac", split="test")]
    assert any(len(splits) > 1 for splits in families(leaked).values())


def test_names_that_differ_by_a_prefix_or_number_are_one_sentence():
    family = catalogue.VOICES[0].family
    assert family("conf-muted") == family("confbridge-muted")
    assert family("vm-tempgreeting") == family("vm-tempgreeting2")
    assert family("conf-adminmenu-162") == family("conf-adminmenu-menu8") == family("adminmenu")
    assert family("vm-opts-full") == family("vm-opts")
    assert family("vm-review") != family("vm-rec-name")
    assert family("digits/5") != family("digits/6")
    czech, dutch = (next(v for v in catalogue.VOICES if v.name == n) for n in ("cs_big", "nl_big"))
    assert czech.family("city/cs/x-v-y") == dutch.family("city/nl/x-v-y")


def test_only_what_is_spoken_by_the_right_voice_is_taken(clips):
    english, czech = catalogue.VOICES[0], next(v for v in catalogue.VOICES if v.name == "cs_big")
    assert english.matches("vm-intro") and english.matches("digits/5")
    assert not any(map(english.matches, ["silence/3", "beep", "tt-monkeys", "ascending-2tone"]))
    assert czech.matches("engine/cs/mot-v-tak") and czech.matches("rush/cs/v-chytra")
    assert not czech.matches("engine/cs/mot-m-tak")  # the other fish
    assert not czech.matches("engine/cs/mot-v-zvuky0")  # it imitates an engine
    spoken = [clip.title for clip in clips if clip.role == "speech"]
    assert not any(catalogue.NOT_SPEECH.search(title) for title in spoken)


def highest_correlations(first, second, rate=4000):
    """For every pair of clips the peak of their whitened cross-correlation, NumPy alone."""
    longest = 2 * max(len(samples) for samples in [*first, *second])
    size = -(-longest // 32_000) * 32_000  # whole seconds, so that the rate can be lowered

    def spectra(sounds):
        for samples in sounds:
            spectrum = np.fft.rfft(samples, size)[: size * rate // 16_000 // 2]
            smooth = np.convolve(np.abs(spectrum), np.ones(257) / 257, mode="same")
            spectrum = spectrum / (smooth + 1e-4 * smooth.max())
            yield (spectrum / np.linalg.norm(np.fft.irfft(spectrum))).astype(np.complex64)

    others = np.conj(np.stack(list(spectra(second))))
    return np.stack([np.abs(np.fft.irfft(row * others)).max(axis=1) for row in spectra(first)])


def test_correlation_finds_a_take_inside_another_clip(sounds):
    one, other = [s for f, s in sounds.items() if f.startswith("speech/june")][:2]
    cut = 0.3 * one[len(one) // 3 :] + 1e-3 * np.random.default_rng(0).standard_normal(
        len(one) - len(one) // 3
    )
    ((same, different),) = highest_correlations([one], [cut, other])
    assert same > 2 * SAME_TAKE and different < SAME_TAKE / 1.5


@pytest.mark.slow
@pytest.mark.parametrize("voice", sorted(TRAINING_VOICES))
def test_no_take_of_a_voice_lies_in_train_and_validation(voice, clips, sounds):
    own = {
        split: [sounds[c.file] for c in clips if (c.kind, c.split) == (voice, split)]
        for split in ("train", "validation")
    }
    peaks = highest_correlations(own["validation"], own["train"])
    assert peaks.size > 100 and peaks.max() < SAME_TAKE


@pytest.mark.slow
def test_no_take_of_a_noise_lies_in_two_splits(clips, sounds):
    own = {
        split: [
            sounds[c.file]
            for c in clips
            if (c.role, c.split) == ("noise", split) and c.kind != "music"
        ]
        for split in SPLITS
    }
    for first, second in combinations(SPLITS, 2):
        peaks = highest_correlations(own[second], own[first])
        assert peaks.max() < SAME_TAKE, (first, second)


# --- the README --------------------------------------------------------------------------------


def credits(text):
    """The rows of the table of authors: (package, authors, licence) -> number of clips."""
    begin, end = build_data.CREDITS
    table = text.partition(begin)[2].partition(end)[0].strip().splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {tuple(row[:3]): int(row[3]) for row in rows}


def test_the_readme_credits_every_author_and_nobody_else(clips):
    readme = (DATA_DIR / "README.md").read_text(encoding="utf-8")
    assert credits(readme) == Counter((c.source, c.author, c.licence) for c in clips)


def test_the_readme_names_every_title_of_a_sound_with_its_own_author(clips):
    readme = (DATA_DIR / "README.md").read_text(encoding="utf-8")
    for clip in clips:
        if clip.source == "openttd-opensfx":
            assert clip.title in readme, clip.title


def test_the_readme_links_every_licence_and_no_other(clips, pairs):
    readme = (DATA_DIR / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| licence | short form |")[2].partition("\n\n")[0]
    links = dict(re.findall(r"\[([^\]]+)\]\(([^)]+)\)", table))
    used = {clip.licence for clip in clips} | {row["licence"] for row in pairs}
    assert set(links) == used
    for licence, link in links.items():
        assert link.startswith("https://creativecommons.org/") or (DATA_DIR / link).is_file()
        assert (
            licence.replace("CC BY-SA ", "by-sa/").replace("CC BY ", "by/").replace("CC0 ", "zero/")
            in link
        ), licence


def test_the_gpl_is_complete():
    text = (DATA_DIR / "GPL-2.0.txt").read_text()
    assert "Version 2, June 1991" in text and "END OF TERMS AND CONDITIONS" in text


# --- ready pairs -------------------------------------------------------------------------------


def test_pairs_are_listed_with_checksums_and_nothing_else_lies_there(pairs):
    assert Counter(row["split"] for row in pairs) == {"train": 8, "test": 6}
    for split in ("train", "test"):
        names = {row["file"] for row in pairs if row["split"] == split}
        for side, folder in zip(("noisy", "clean"), pair_folders(split), strict=True):
            assert {path.name for path in folder.iterdir()} == names
            for row in pairs:
                if row["split"] == split:
                    content = (folder / row["file"]).read_bytes()
                    assert hashlib.sha256(content).hexdigest() == row[f"sha256_{side}"]


def test_pairs_use_clips_of_their_own_split(pairs, clips):
    listed = {clip.file: clip for clip in clips}
    for row in pairs:
        speech, noise = listed[row["speech"]], listed[row["noise"]]
        assert (speech.role, speech.split) == ("speech", row["split"])
        assert (noise.role, noise.split) == ("noise", row["split"])
        assert row["file"].startswith(speech.kind)
    assert {listed[row["speech"]].kind for row in pairs} == TRAINING_VOICES | TEST_VOICES
    assert len({listed[row["noise"]].kind for row in pairs}) >= 6


def test_pairs_line_up_and_have_the_stated_snr(pairs, sounds):
    for row in pairs:
        noisy_dir, clean_dir = pair_folders(row["split"])
        noisy, rate = soundfile.read(noisy_dir / row["file"])
        clean, clean_rate = soundfile.read(clean_dir / row["file"])
        assert rate == clean_rate == 16_000 and noisy.shape == clean.shape
        assert 2 <= len(noisy) / rate <= 4 and np.abs(noisy).max() <= 0.98
        added = noisy - clean
        measured = 10 * np.log10((clean**2).sum() / (added**2).sum())
        assert measured == pytest.approx(float(row["snr_db"]), abs=0.3), row["file"]
        # What was added is the noise, and what remains is the sentence: sample by sample.
        for part, source in ((added, row["noise"]), (clean, row["speech"])):
            original = sounds[source][: len(part)]
            cosine = part @ original / np.linalg.norm(part) / np.linalg.norm(original)
            assert cosine > 0.999, (row["file"], source)


def test_licences_of_pairs_can_be_mixed(pairs, clips):
    listed = {clip.file: clip for clip in clips}
    for row in pairs:
        speech, noise = listed[row["speech"]], listed[row["noise"]]
        if speech.licence == "GPL-2.0":
            assert row["licence"] == "GPL-2.0" and noise.source == "lincity-ng-data"
        elif "BY-SA" in speech.licence + noise.licence:
            assert row["licence"] == "CC BY-SA 3.0"
        else:
            assert row["licence"] == "CC BY 3.0"


def test_a_mixture_that_nobody_may_share_is_refused(clips):
    fish = next(clip for clip in clips if clip.licence == "GPL-2.0")
    other = next(clip for clip in clips if clip.source == "openttd-opensfx")
    named = [type("Named", (), {"name": c.file, **c.__dict__}) for c in (fish, other)]
    with pytest.raises(ValueError, match="mixed"):
        catalogue.pair_licence(*named)


# --- the build script --------------------------------------------------------------------------


def piece(kind, family, samples=None):
    samples = np.zeros(0, np.int16) if samples is None else samples
    return build_data.Piece("speech", kind, "en", "", "", "", "", family, samples, family)


def test_the_catalogue_of_opensfx_is_read_entry_by_entry(tmp_path):
    entries = [(b'"One".\0', b"RIFFone"), (b'"Two, longer".\0', b"RIFFtwotwo")]
    index, body = b"", b""
    for text, data in entries:
        offset = 8 * len(entries) + len(body)
        index += struct.pack("<II", offset | (0x80000000 if not body else 0), len(data))
        body += bytes([len(text)]) + text + data
    (tmp_path / "x.cat").write_bytes(index + body)
    found = list(build_data.opensfx_entries(tmp_path / "x.cat"))
    assert found == [('"One".', b"RIFFone"), ('"Two, longer".', b"RIFFtwotwo")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '"Saw". Original "a saw.wav" by "Ben". Edited by "Wuzzy". '
            "License: Creative Commons Attribution 3.0 Unported.",
            ("Saw (original a saw.wav)", "Ben; edited by Wuzzy", "CC BY 3.0"),
        ),
        (
            '"Horn". By Janis Lukss. License: Creative Commons Zero 1.0.',
            ("Horn", "Janis Lukss", "CC0 1.0"),
        ),
        (
            '"Two (1)". Original "a.mp3" by "x" and "Train passby (2).wav" by Leon Milo. '
            "Edited by Z. License: Creative Commons Attribution-ShareAlike 3.0 Unported.",
            (
                "Two (1) (original a.mp3, Train passby (2).wav)",
                "x; Leon Milo; edited by Z",
                "CC BY-SA 3.0",
            ),
        ),
    ],
)
def test_authors_and_licences_are_read_from_an_entry(text, expected):
    assert catalogue.parse_opensfx(text) == expected


def test_trimming_keeps_the_sound_and_a_margin():
    rng = np.random.default_rng(0)
    samples = 1e-4 * rng.standard_normal(48_000)
    samples[16_000:32_000] += 0.1 * rng.standard_normal(16_000)
    trimmed = build_data.trim(samples.astype(np.float32), 40, 1600)
    assert len(trimmed) == pytest.approx(16_000 + 2 * 1600, abs=640)
    assert (trimmed**2).sum() == pytest.approx((samples[16_000:32_000] ** 2).sum(), rel=1e-3)


def test_long_recordings_are_cut_in_their_pauses():
    rng = np.random.default_rng(0)
    samples = 0.1 * rng.standard_normal(20 * 16_000)
    pauses = [6.0, 12.5]
    for pause in pauses:
        samples[int(pause * 16_000) : int((pause + 0.3) * 16_000)] *= 1e-3
    parts = build_data.cut_at_pauses(samples, 8.0)
    np.testing.assert_array_equal(np.concatenate(parts), samples)  # nothing lost
    assert all(len(part) <= 8 * 16_000 for part in parts)
    cuts = np.cumsum([len(part) for part in parts])[:-1] / 16_000
    assert all(np.abs(pause + 0.15 - cuts).min() < 0.15 for pause in pauses)


@pytest.mark.parametrize("peaks", [1, 50])
def test_the_common_level_never_clips(peaks):
    samples = 1e-3 * np.sin(np.arange(32_000))
    samples[1000 : 1000 + peaks] = 5.0
    finished = build_data.finish(samples)
    assert finished.dtype == np.int16
    assert np.abs(finished).max() <= round(0.98 * 32767)


def test_a_validation_sentence_stays_out_of_train_whatever_else_is_built(monkeypatch):
    monkeypatch.setattr(build_data, "same_takes", lambda *args: [])
    names = [f"asterisk/{number}" for number in range(400)]
    every = [piece("carlo", name) for name in names] + [piece("june", name) for name in names]
    some = [piece("carlo", name) for name in names[::7]]
    build_data.split_speech(every)
    build_data.split_speech(some)
    splits = {(p.kind, p.family): p.split for p in every}
    assert Counter(splits.values()).keys() == {"train", "validation"}
    assert 40 <= Counter(splits.values())["validation"] <= 120
    assert all(splits["carlo", p.family] == p.split for p in some)
    assert all(splits["carlo", name] == splits["june", name] for name in names)


def test_a_held_out_sentence_that_shares_a_take_joins_train():
    rng = np.random.default_rng(0)
    pieces = []
    for number in range(60):
        samples = (3000 * rng.standard_normal(16_000)).astype(np.int16)
        pieces.append(piece("carlo", f"asterisk/{number}", samples))
    build_data.split_speech(pieces)
    held = [p for p in pieces if p.split == "validation"]
    learned = [p for p in pieces if p.split == "train"]
    assert len(held) >= 3
    # One shares a cut with train, another shares a cut with that one: both must follow.
    learned[0].samples = np.concatenate([learned[0].samples, held[0].samples[:10_000]])
    held[1].samples = np.concatenate([held[1].samples, held[0].samples[-6000:]])
    build_data.split_speech(pieces)
    assert [p.split for p in held[:3]] == ["train", "train", "validation"]


def test_the_same_sound_gives_the_same_bytes(tmp_path):
    samples = (1000 * np.random.default_rng(0).standard_normal(16_000)).astype(np.int16)
    for name in ("a.flac", "b.flac"):
        build_data.write_flac(tmp_path / name, samples)
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.flac", dtype="int16")[0], samples)


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech" / "mine.wav").write_text("precious")
    with pytest.raises(SystemExit, match="folders of somebody else"):
        build_data.write_set([], tmp_path)
    assert (tmp_path / "speech" / "mine.wav").read_text() == "precious"


def test_a_written_set_is_read_by_the_corpus_and_replaced_by_the_next(tmp_path):
    rng = np.random.default_rng(0)
    samples = (1000 * rng.standard_normal(48_000)).astype(np.int16)
    one, two = (
        replace(piece("anna", name, samples), split="train", title="t", author="a", licence="l")
        for name in ("one", "two")
    )
    build_data.write_set([two, one], tmp_path)
    clips = load_manifest(tmp_path)
    assert [clip.file for clip in clips] == ["speech/one.flac", "speech/two.flac"]
    assert (clips[0].kind, clips[0].language, clips[0].duration) == ("anna", "en", 3.0)
    assert check_files(tmp_path) == 2
    build_data.write_set([one], tmp_path)
    assert check_files(tmp_path) == 1 and not (tmp_path / "speech" / "two.flac").exists()
    with pytest.raises(SystemExit, match="name"):
        build_data.write_set([one, one], tmp_path)


def test_the_manifest_has_the_columns_of_clip():
    columns = [name for name in Clip.__dataclass_fields__ if name != "data_dir"]
    assert build_data.COLUMNS == columns
