"""The layouts of the public sets, on tiny stand-ins."""

import csv

import numpy as np
import pytest
import soundfile

from course_utils.datasets import NoisyCleanDataset
from course_utils.public_sets.layouts import demand, esc50, librispeech, musan, voicebank_demand


def write(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".wav", ".flac"):
            soundfile.write(path, np.full(160, 0.1), 16_000)
        else:
            path.write_text("text")


def seen(recordings, root):
    return [(r.path.relative_to(root).as_posix(), r.label, r.group) for r in recordings]


def test_voicebank_demand_gives_the_folders_of_a_dataset(tmp_path):
    for side in ("noisy", "clean"):
        write(tmp_path, f"{side}_trainset_28spk_wav/p226_001.wav")
        write(tmp_path, f"{side}_trainset_28spk_wav/p226_002.wav")
        write(tmp_path, f"{side}_trainset_56spk_wav/p234_001.wav")
        write(tmp_path, f"{side}_testset_wav/p232_001.wav")
    write(tmp_path, "noisy_trainset.zip")  # an archive left lying about
    noisy, clean = voicebank_demand(tmp_path, split="train")
    assert (noisy.name, clean.name) == ("noisy_trainset_28spk_wav", "clean_trainset_28spk_wav")
    assert NoisyCleanDataset(noisy, clean).names == ["p226_001.wav", "p226_002.wav"]
    noisy, clean = voicebank_demand(str(tmp_path), split="test")
    assert (noisy.name, clean.name) == ("noisy_testset_wav", "clean_testset_wav")


def test_voicebank_demand_pairs_folders_of_one_name(tmp_path):
    write(tmp_path, "noisy_trainset_28spk_wav/a.wav", "noisy_trainset_56spk_wav/a.wav")
    write(tmp_path, "clean_trainset_56spk_wav/a.wav")
    noisy, clean = voicebank_demand(tmp_path, split="train")
    assert (noisy.name, clean.name) == ("noisy_trainset_56spk_wav", "clean_trainset_56spk_wav")
    with pytest.raises(ValueError, match="noisy_testset.*clean_testset"):
        voicebank_demand(tmp_path, split="test")
    with pytest.raises(ValueError, match="split.*got 'validation'"):
        voicebank_demand(tmp_path, split="validation")


def test_librispeech_is_grouped_by_speaker(tmp_path):
    write(tmp_path, "train-clean-100/19/198/19-198-0000.flac", "train-clean-100/SPEAKERS.TXT")
    write(tmp_path, "dev-clean/84/121123/84-121123-0001.flac")
    write(tmp_path, "dev-clean/84/121123/84-121123.trans.txt")
    write(tmp_path, "dev-clean/84/121550/84-121550-0000.flac")
    expected = [
        ("dev-clean/84/121123/84-121123-0001.flac", "84", "84"),
        ("dev-clean/84/121550/84-121550-0000.flac", "84", "84"),
        ("train-clean-100/19/198/19-198-0000.flac", "19", "19"),
    ]
    assert seen(librispeech(tmp_path), tmp_path) == expected
    assert seen(librispeech(tmp_path / "train-clean-100"), tmp_path) == expected[2:]


def test_musan_lists_one_part(tmp_path):
    write(tmp_path, "noise/free-sound/noise-free-sound-0000.wav", "noise/free-sound/LICENSE")
    write(tmp_path, "noise/sound-bible/noise-sound-bible-0001.wav", "noise/free-sound/ANNOTATIONS")
    write(tmp_path, "music/fma/music-fma-0000.wav", "speech/librivox/speech-librivox-0000.wav")
    assert seen(musan(tmp_path), tmp_path) == [
        ("noise/free-sound/noise-free-sound-0000.wav", "noise", "noise-free-sound-0000"),
        ("noise/sound-bible/noise-sound-bible-0001.wav", "noise", "noise-sound-bible-0001"),
    ]
    assert [r.label for r in musan(tmp_path, part="music")] == ["music"]
    with pytest.raises(ValueError, match="part.*got 'hum'"):
        musan(tmp_path, part="hum")


def test_sets_are_found_one_folder_further_down(tmp_path):
    write(tmp_path, "a/musan/noise/free-sound/noise-free-sound-0000.wav")
    assert [r.group for r in musan(tmp_path / "a")] == ["noise-free-sound-0000"]
    make_esc50(tmp_path / "b" / "ESC-50-main", [["1-1-A-0.wav", 1, 0, "dog", True, 1, "A"]])
    write(tmp_path, "b/ESC-50-main/audio/1-1-A-0.wav")
    assert [r.label for r in esc50(tmp_path / "b")] == ["dog"]


def test_the_files_that_macos_leaves_beside_others_are_no_recordings(tmp_path):
    write(tmp_path, "TBUS/ch01.wav", "dev-clean/84/1/84-1-0001.flac")
    write(tmp_path, "dev-clean/84/1/._84-1-0001.flac")
    assert len(librispeech(tmp_path)) == 1


def make_esc50(root, rows):
    (root / "meta").mkdir(parents=True)
    with open(root / "meta" / "esc50.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow("filename fold target category esc10 src_file take".split())
        writer.writerows(rows)


def test_esc50_groups_the_takes_of_one_recording(tmp_path):
    rows = [
        ["1-115545-B-48.wav", 1, 48, "fireworks", False, 115545, "B"],
        ["1-115545-A-48.wav", 1, 48, "fireworks", False, 115545, "A"],
        ["5-9032-A-0.wav", 5, 0, "dog", True, 9032, "A"],
    ]
    make_esc50(tmp_path, rows)
    write(tmp_path, *[f"audio/{row[0]}" for row in rows])
    assert seen(esc50(tmp_path), tmp_path) == [
        ("audio/1-115545-B-48.wav", "fireworks", "115545"),
        ("audio/1-115545-A-48.wav", "fireworks", "115545"),
        ("audio/5-9032-A-0.wav", "dog", "9032"),
    ]
    (tmp_path / "audio" / "5-9032-A-0.wav").unlink()
    with pytest.raises(ValueError, match=r"audio/5-9032-A-0\.wav"):
        esc50(tmp_path)


def test_esc50_without_its_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"meta/esc50\.csv"):
        esc50(tmp_path)


def test_demand_takes_one_microphone_of_each_place(tmp_path):
    for place in ("TMETRO", "DKITCHEN"):
        write(tmp_path, *[f"{place}/ch{channel:02d}.wav" for channel in (1, 2, 16)])
    expected = [
        ("DKITCHEN/ch01.wav", "DKITCHEN", "DKITCHEN"),
        ("TMETRO/ch01.wav", "TMETRO", "TMETRO"),
    ]
    assert seen(demand(tmp_path), tmp_path) == expected
    assert [r.path.name for r in demand(tmp_path, channel=16)] == ["ch16.wav"] * 2
    for channel in (0, 17):
        with pytest.raises(ValueError, match=f"channel.*1.*16.*got {channel}"):
            demand(tmp_path, channel=channel)


@pytest.mark.parametrize("listing", [librispeech, musan, demand])
def test_an_empty_folder_says_which_layout_is_wanted(listing, tmp_path):
    with pytest.raises(ValueError, match="folder"):
        listing(tmp_path)


@pytest.mark.parametrize("listing", [librispeech, musan, demand, esc50])
def test_a_folder_that_is_not_there_is_named(listing, tmp_path):
    with pytest.raises(ValueError, match="folder.*nowhere"):
        listing(tmp_path / "nowhere")
