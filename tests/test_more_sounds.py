"""What only the full set holds is read and put together as data/README.md says."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

DATA = Path(__file__).parents[1] / "data"
sys.path.insert(0, str(DATA))
import build_data  # noqa: E402
import catalogue  # noqa: E402
import more_catalogue  # noqa: E402
import more_sounds  # noqa: E402
import rooms  # noqa: E402
import shaping  # noqa: E402

RATE = shaping.SAMPLE_RATE


def word(seconds=0.8, *, floor_db=-60.0, seed=0):
    """Noise that comes and goes, above a floor."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(int(seconds * RATE)) * 0.1
    samples[: len(samples) // 4] *= 10 ** (floor_db / 20)
    return samples.astype(np.float32)


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def test_words_become_utterances_of_three_to_six_seconds_and_none_is_lost():
    words = [more_sounds.fade(word(seed=n)) for n in range(40)]
    joined = list(more_sounds.join_words(words, seed=1))
    assert [first for first, _, _ in joined] == [0, *(last for _, last, _ in joined[:-1])]
    assert joined[-1][1] == 40
    lengths = [len(samples) / RATE for _, _, samples in joined]
    assert max(lengths) < 6.5 and min(lengths[:-1]) > 3


def test_the_same_seed_joins_the_same_words():
    words = [more_sounds.fade(word(seed=n)) for n in range(9)]
    first, again = (list(more_sounds.join_words(words, seed=4)) for _ in range(2))
    for (*_, one), (*_, two) in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)


def test_pauses_between_words_are_silent():
    words = [more_sounds.fade(np.full(RATE // 2, 0.1, np.float32)) for _ in range(6)]
    _, _, samples = next(more_sounds.join_words(words, seed=0))
    assert (samples == 0).sum() > 0.06 * RATE * 3


@pytest.mark.parametrize(
    ("samples", "rate", "clean"),
    [
        (word(), RATE, True),
        (word(floor_db=-15), RATE, False),
        (word(), 8000, False),
        (np.clip(word(), -0.1, 0.1), RATE, False),
        (0 * word(), RATE, False),
    ],
    ids=["good", "noisy pauses", "narrow", "clipped", "silent"],
)
def test_quality_is_measured_clip_by_clip(tmp_path, samples, rate, clean):
    assert more_sounds.is_clean(write(tmp_path / "a.wav", samples, rate)) is clean


def test_rumble_goes_and_speech_stays_where_it_is():
    time = np.arange(RATE) / RATE
    rumble, tone = np.sin(2 * np.pi * 20 * time), np.sin(2 * np.pi * 200 * time)
    left = more_sounds.without_rumble((rumble + tone).astype(np.float32))
    assert np.abs(left - tone).max() < 0.01


def test_a_file_that_is_no_sound_is_left_out(tmp_path):
    (tmp_path / "README").write_text("words")
    assert not more_sounds.is_clean(tmp_path / "README")


def test_files_are_found_in_folders_and_in_archives(tmp_path):
    write(tmp_path / "b" / "two.wav", word())
    write(tmp_path / "b" / "one.wav", word())
    assert [name for name, _ in more_sounds.find(tmp_path, "b/*.wav")] == ["one.wav", "two.wav"]
    with zipfile.ZipFile(tmp_path / "x.pk3", "w") as bundle:
        bundle.write(tmp_path / "b" / "one.wav", "sound/one.wav")
        bundle.writestr("sound/readme.txt", "")
    ((name, data),) = more_sounds.find(tmp_path, "sound/*.wav", "x.pk3")
    assert name == "one.wav" and data == (tmp_path / "b" / "one.wav").read_bytes()


def test_streams_are_cut_where_each_begins(tmp_path):
    parts = []
    for n in range(3):
        soundfile.write(tmp_path / f"{n}.ogg", word(seed=n), RATE)
        parts.append((tmp_path / f"{n}.ogg").read_bytes())
    streams = more_sounds.ogg_streams(b"a few words first" + b"".join(parts))
    assert streams == parts


def test_long_noises_are_cut_into_parts_and_copies_are_left_out(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).standard_normal(40 * RATE).astype(np.float32) * 0.1
    for name in ("wind", "wind2"):
        write(tmp_path / "weather" / f"{name}.wav", noise)
    write(tmp_path / "weather" / "short.wav", noise[:RATE])
    source = more_catalogue.Noises("wind_water", "weather", "*.wav", "a", "CC0 1.0")
    monkeypatch.setattr(more_catalogue, "MORE_NOISES", [source])
    pieces = list(more_sounds.more_noise(tmp_path, build_data.read_audio, build_data.Piece))
    assert [piece.name for piece in pieces] == [f"wind_water_weather-wind_{n}" for n in (1, 2, 3)]
    assert all(piece.seconds <= 15 and piece.split == "train" for piece in pieces)


def test_no_voice_lies_in_two_splits_and_validation_has_eight():
    splits = {}
    for voice in more_catalogue.MORE_VOICES:
        splits.setdefault(voice.split, set()).add(voice.name)
    assert len(splits["validation"]) >= 8
    assert not splits["validation"] & splits["train"]
    names = {voice.name for voice in catalogue.VOICES}
    assert not names & (splits["validation"] | splits["train"])


def test_packages_of_noise_lie_in_one_split():
    splits = {}
    for noises in more_catalogue.MORE_NOISES:
        splits.setdefault(noises.package, set()).add(noises.split)
    assert all(len(found) == 1 for found in splits.values())


def test_further_rooms_are_the_same_every_time_and_the_talker_stands_inside():
    assert rooms.more_rooms() == rooms.more_rooms()
    for room in rooms.more_rooms():
        assert 0.31 * room.size[0] + room.distance < room.size[0]
        assert room.size[2] > 1.55 and 0.1 < room.rt60 < 1
    assert {room.split for room in rooms.more_rooms()} == {"train", "validation"}
