"""What is held out in training shares nothing with what is learned, whichever set it comes from.

Small folders in the layouts of the public sets stand in for the sets themselves.
"""

import csv
import shutil
import zlib
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
import soundfile
import torch
from splitting import hold_out

from course_utils.audio import save_audio
from course_utils.corpus import DATA_DIR
from course_utils.datasets import AudioFile
from course_utils.public_sets import CATALOGUE, demand, esc50, group_of, librispeech, musan
from course_utils.public_sets.layouts import DEMAND_PLACES
from course_utils.train.folders import MIN_FOLDERS, all_files, list_audio
from course_utils.train.material import from_folders, from_pairs

SIZES = {"size": 2, "segment_length": 2000}
SEEDS = range(8)


def _sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(zlib.crc32(str(path).encode()))
    save_audio(path, 0.1 * torch.randn(1, 2400, generator=generator), 16_000)


def _esc50(root):
    """Six source recordings, each cut into two or three clips, in the folds of the table."""
    rows = []
    for source in range(6):
        for take in range(2 + source % 2):
            name = f"{source % 5 + 1}-{1000 + source}-{'ABC'[take]}-0.wav"
            _sound(root / "audio" / name)
            rows.append({"filename": name, "fold": source % 5 + 1, "target": 0, "category": "dog",
                         "src_file": str(1000 + source), "take": "ABC"[take]})  # fmt: skip
    (root / "meta").mkdir()
    with open(root / "meta" / "esc50.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return {row["filename"]: row["src_file"] for row in rows}


def _demand(root):
    for place in ("DKITCHEN", "NPARK", "TBUS"):
        for channel in range(1, 17):
            _sound(root / place / f"ch{channel:02d}.wav")


def _librispeech(root):
    for speaker in (84, 174, 251):
        for chapter in (10, 11):
            for number in range(2):
                name = f"{speaker}-{chapter}-{number:04d}.flac"
                _sound(root / str(speaker) / str(chapter) / name)


def _plain(root):
    for number in range(4):
        _sound(root / f"{number}.wav")


def _files(material):
    """Paths that a material learns from and that it validates with, voices and noises apart."""
    return [
        ({f.path for voice in part._speech for f in voice}, {f.path for f in part._noise})
        for part in (material.train_set, material.validation_set)
    ]


@pytest.mark.parametrize("part", [".", "audio"])
def test_no_source_recording_of_esc50_lies_on_both_sides(tmp_path, part):
    sources = _esc50(tmp_path / "ESC-50-master")
    _plain(tmp_path / "speech")
    for seed in SEEDS:
        index = list_audio(tmp_path / "ESC-50-master" / part)
        train, held = ({sources[Path(f.path).name] for f in all_files(side)}
                       for side in hold_out(index, share=0.3, seed=seed))  # fmt: skip
        assert train and held and not train & held
    material = from_folders(tmp_path / "speech", tmp_path / "ESC-50-master" / part, **SIZES)
    train, held = ({sources[Path(path).name] for path in noise} for _, noise in _files(material))
    assert train and held and not train & held
    assert material.about.endswith("held out by recording")


def _as_flac(source, target):
    """Copy a set in another format, into folders of the same names."""
    for path in source.rglob("*.wav"):
        copy = (target / path.relative_to(source)).with_suffix(".flac")
        copy.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(copy, *soundfile.read(path))
    return target


@pytest.mark.parametrize("reached", ["dot", "link", "without its table", "deeper", "as FLAC"])
def test_esc50_is_known_however_it_is_reached(tmp_path, monkeypatch, reached):
    sources = {Path(name).stem: source for name, source in _esc50(tmp_path / "ESC-50").items()}
    audio, root = tmp_path / "ESC-50" / "audio", tmp_path / "reached"
    if reached == "dot":
        monkeypatch.chdir(audio)
        root = Path(".")
    elif reached == "link":
        root.symlink_to(audio)
    elif reached == "as FLAC":
        _as_flac(audio, root)
    else:
        shutil.copytree(audio, root / "dog" if reached == "deeper" else root)
    for seed in SEEDS:
        train, held = (
            {sources[Path(file.path).stem] for file in all_files(side)}
            for side in hold_out(list_audio(root), share=0.3, seed=seed)
        )
        assert train and held and not train & held


def test_a_split_by_file_as_it_once_was_would_be_caught(tmp_path):
    """The test above must be able to fail: file by file, source recordings leak."""
    sources = _esc50(tmp_path)
    files = all_files(list_audio(tmp_path))
    held = files[:: len(files) // 3]
    train = [file for file in files if file not in held]
    names = [{sources[Path(file.path).name] for file in side} for side in (train, held)]
    assert names[0] & names[1]


def test_a_place_of_demand_is_heard_by_one_microphone_on_one_side(tmp_path):
    _demand(tmp_path / "demand")
    _plain(tmp_path / "speech")
    material = from_folders(tmp_path / "speech", tmp_path / "demand", **SIZES)
    train, held = (noise for _, noise in _files(material))
    assert {Path(path).name for path in train | held} == {"ch01.wav"}
    places = [{Path(path).parent.name for path in side} for side in (train, held)]
    assert not places[0] & places[1] and len(places[0] | places[1]) == 3
    assert material.about.endswith("held out by place")
    # The listing of the set and the training agree on the microphone.
    assert {str(recording.path) for recording in demand(tmp_path / "demand")} == train | held


def test_demand_in_another_format_has_one_microphone_too(tmp_path):
    _demand(tmp_path / "demand")
    index = list_audio(_as_flac(tmp_path / "demand", tmp_path / "flac"))
    assert [Path(file.path).name for file in all_files(index)] == ["ch01.flac"] * 3


def test_the_chapters_of_a_book_are_no_microphones(tmp_path):
    for number in range(1, 6):
        _sound(tmp_path / "emma" / f"ch{number:02d}.wav")
    assert len(all_files(list_audio(tmp_path))) == 5


def test_the_catalogue_fetches_places_that_are_known():
    fetched = {archive.file.removesuffix("_16k.zip") for archive in CATALOGUE["demand"].archives}
    assert len(fetched) == 17 and fetched < DEMAND_PLACES


@pytest.mark.parametrize("part", [".", "train-clean-100"])
def test_no_speaker_of_librispeech_lies_on_both_sides(tmp_path, part):
    _librispeech(tmp_path / "LibriSpeech" / "train-clean-100")
    _plain(tmp_path / "noise")
    root = tmp_path / "LibriSpeech" / part
    for seed in SEEDS:
        train, held = ({Path(f.path).stem.split("-")[0] for f in all_files(side)}
                       for side in hold_out(list_audio(root), seed=seed))  # fmt: skip
        assert held and not train & held and train | held == {"84", "174", "251"}
    material = from_folders(root, tmp_path / "noise", **SIZES)
    train, held = (speech for speech, _ in _files(material))
    names = [{Path(path).stem.split("-")[0] for path in side} for side in (train, held)]
    assert not names[0] & names[1]
    assert len(material.train_set._speech) == 2  # voices, not subfolders
    assert "held out by speaker" in material.about


def test_no_speaker_of_voicebank_lies_on_both_sides(tmp_path):
    for side in ("noisy", "clean"):
        for speaker in ("p226", "p227", "p228"):
            for number in range(1, 4):
                _sound(tmp_path / f"{side}_trainset_28spk_wav" / f"{speaker}_{number:03d}.wav")
    noisy, clean = (tmp_path / f"{side}_trainset_28spk_wav" for side in ("noisy", "clean"))
    material = from_pairs(noisy, clean, **SIZES)
    sides = material.train_set._pairs.names, material.validation_set._pairs.names
    speakers = [{name[:4] for name in names} for names in sides]
    assert not speakers[0] & speakers[1] and len(speakers[0] | speakers[1]) == 3
    assert len(sides[0]) + len(sides[1]) == 9
    assert material.about.endswith("held out by speaker")


def _musan(root):
    for source in ("free-sound", "sound-bible"):
        for number in range(3):
            _sound(root / "noise" / source / f"noise-{source}-{number:04d}.wav")


def test_recordings_of_musan_are_one_file_each(tmp_path):
    _musan(tmp_path / "musan")
    _plain(tmp_path / "speech")
    material = from_folders(tmp_path / "speech", tmp_path / "musan" / "noise", **SIZES)
    train, held = (noise for _, noise in _files(material))
    assert held and not train & held and len(train | held) == 6
    assert material.about.endswith("held out by recording")


def test_readings_of_musan_are_voices_of_their_own(tmp_path):
    for number in range(3):
        _sound(tmp_path / "speech" / "librivox" / f"speech-librivox-{number:04d}.wav")
    assert len(list_audio(tmp_path / "speech")) == 3


@pytest.mark.parametrize(
    ("write", "listing"),
    [(_esc50, esc50), (_demand, demand), (_librispeech, librispeech), (_musan, musan)],
)
def test_both_readers_of_a_set_know_the_same_groups(tmp_path, write, listing):
    write(tmp_path)
    recordings = listing(tmp_path)
    assert recordings
    for recording in recordings:
        assert group_of(recording.path).name == recording.group


def test_sets_inside_a_larger_folder_keep_their_groups(tmp_path):
    sources = _esc50(tmp_path / "all" / "ESC-50")
    _demand(tmp_path / "all" / "demand")
    _plain(tmp_path / "all" / "own")
    index = list_audio(tmp_path / "all")
    for seed in SEEDS:
        train, held = (
            {sources.get(Path(f.path).name, f.path) for f in all_files(side)}
            for side in hold_out(index, share=0.3, seed=seed)
        )
        assert held and not train & held
    assert sum(Path(f.path).name.startswith("ch") for f in all_files(index)) == 3


def test_a_set_is_known_from_inside_and_through_a_link(tmp_path, monkeypatch):
    sources = _esc50(tmp_path / "ESC-50")
    (tmp_path / "linked").symlink_to(tmp_path / "ESC-50" / "audio", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "ESC-50" / "audio")
    for folder in (".", tmp_path / "linked"):
        for path in Path(folder).glob("*.wav"):
            assert group_of(path) == ("recording", sources[path.name])


def test_a_link_to_a_single_file_is_known_by_its_name_or_by_its_target(tmp_path):
    _librispeech(tmp_path / "LibriSpeech")
    (tmp_path / "linked" / "84" / "10").mkdir(parents=True)
    (tmp_path / "store").write_bytes(b"sound")
    by_target = tmp_path / "linked" / "a.flac"
    by_target.symlink_to(tmp_path / "LibriSpeech" / "84" / "10" / "84-10-0000.flac")
    by_name = tmp_path / "linked" / "84" / "10" / "84-10-0000.flac"
    by_name.symlink_to(tmp_path / "store")
    assert group_of(by_target) == group_of(by_name) == ("speaker", "84")


def test_one_speaker_alone_cannot_be_split(tmp_path):
    for number in range(4):
        _sound(tmp_path / "84" / "10" / f"84-10-{number:04d}.wav")
    with pytest.raises(ValueError, match="speech.*speaker.*got 1"):
        hold_out(list_audio(tmp_path), name="speech")


def test_names_that_only_look_like_a_set_belong_to_none(tmp_path):
    for name in ("own/ch01.wav", "dates/2024-01-0001.wav", "p226.wav", "1-1000.wav", "noise-1.wav"):
        assert group_of(tmp_path / name) is None
    assert not any(group_of(path) for path in DATA_DIR.rglob("*.*"))


def test_hidden_files_of_macos_are_left_out(tmp_path):
    _librispeech(tmp_path)
    (tmp_path / "84" / "10" / "._84-10-0000.flac").write_bytes(b"Mac OS X")
    assert len(all_files(list_audio(tmp_path))) == 12


def test_a_folder_named_like_a_group_stays_apart_from_it(tmp_path):
    _librispeech(tmp_path)
    _sound(tmp_path / "speaker 84" / "a.wav")
    assert sorted(map(len, list_audio(tmp_path).values())) == [1, 4, 4, 4]


@hypothesis.given(
    counts=st.lists(st.integers(1, 4), min_size=2, max_size=9),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_any_folder_is_split_without_a_leak(counts, share, seed):
    index = {
        f"voice{k}": [AudioFile(f"voice{k}/{n}.wav", 1.0) for n in range(count)]
        for k, count in enumerate(counts)
    }
    train, held = hold_out(index, share=share, seed=seed)
    ours, theirs = set(all_files(train)), set(all_files(held))
    assert ours and theirs and not ours & theirs and ours | theirs == set(all_files(index))
    if len(counts) >= MIN_FOLDERS:
        assert not set(train) & set(held)


def test_names_like_a_microphone_do_not_push_the_real_one_out(tmp_path):
    for name in ("TBUS/ch01.wav", "TBUS/ch02.wav", "TBUS/ch 1.wav", "TBUS/ch-1.wav"):
        _sound(tmp_path / name)
    names = [Path(file.path).name for file in all_files(list_audio(tmp_path))]
    assert sorted(names) == ["ch 1.wav", "ch-1.wav", "ch01.wav"]


def test_hidden_folders_and_folders_named_like_sound_are_left_out(tmp_path):
    for name in ("a/1.wav", "b/2.wav", ".trash/3.wav", "a/.cache/4.wav"):
        _sound(tmp_path / name)
    (tmp_path / "x.wav").mkdir()
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    names = {Path(file.path).name for file in all_files(list_audio(tmp_path))}
    assert names == {"1.wav", "2.wav"}
