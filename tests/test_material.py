"""What a run learns from: parts that share nothing, segments that are what the files hold."""

from pathlib import Path

import pytest
import torch

from course_utils import datasets
from course_utils.audio import save_audio
from course_utils.augmentation import Augmentation
from course_utils.datasets import AudioFile, MixtureDataset, NoisyCleanDataset, SegmentDataset
from course_utils.train.material import VALIDATION_CLIPS, from_folders, from_pairs

SIZES = {"size": 6, "segment_length": 4000}


def _noise(time, seed=0):
    return 0.1 * torch.randn(1, time, generator=torch.Generator().manual_seed(seed))


def _fill(folder, count=3, length=9000, seed=0, rate=16000, gain=1.0):
    folder.mkdir(parents=True)
    for k in range(count):
        save_audio(folder / f"{k}.wav", gain * _noise(length + k, seed + k), rate)
    return folder


def _paths(clips):
    return {clip.path for clip in clips}


@pytest.fixture
def two(tmp_path):
    return _fill(tmp_path / "speech", 7), _fill(tmp_path / "noise", 3, seed=50)


@pytest.fixture
def pairs(tmp_path):
    """Each noisy side is three times its clean one, so that places can be compared."""
    return _fill(tmp_path / "noisy", 5, gain=0.9), _fill(tmp_path / "clean", 5, gain=0.3)


def test_two_folders_become_two_sets_that_share_no_file(two):
    material = from_folders(*two, **SIZES)
    train, held = material.train_set, material.validation_set
    assert (len(train), len(held)) == (6, VALIDATION_CLIPS)
    for ours, theirs, count in (
        (sum(train._speech, []), sum(held._speech, []), 7),
        (train._noise, held._noise, 3),
    ):
        assert not _paths(ours) & _paths(theirs) and len(ours) + len(theirs) == count
    for dataset in (train, held):
        for noisy, clean in (dataset[k] for k in range(4)):
            assert noisy.shape == clean.shape == (1, 4000) and torch.isfinite(noisy).all()
    assert "0 min in 6 files of speech" in material.about


def test_what_data_of_another_kind_held_out_is_no_choice_for_these(two, pairs):
    """Such a run is refused a little later, in a sentence and not by a missing key."""
    held = from_folders(*two, **SIZES).held_out
    assert from_folders(*two, **SIZES, held_out={"pairs": ["0.wav"]}).held_out == held
    assert (
        from_pairs(*pairs, **SIZES, held_out=held).held_out == from_pairs(*pairs, **SIZES).held_out
    )


def test_the_same_folders_have_the_same_fingerprint_whatever_the_seed(two):
    first, again = from_folders(*two, **SIZES), from_folders(*two, **SIZES, seed=3)
    assert first.fingerprint == again.fingerprint
    assert _paths(first.validation_set._noise) == _paths(again.validation_set._noise)
    assert torch.equal(first.validation_set[2][0], again.validation_set[2][0])
    assert not torch.equal(first.train_set[2][0], again.train_set[2][0])
    save_audio(two[1] / "new.wav", _noise(5000), 16000)
    assert from_folders(*two, **SIZES).fingerprint != first.fingerprint


def test_a_folder_of_its_own_for_validation(two, tmp_path):
    _fill(tmp_path / "held" / "speech", 2, seed=90), _fill(tmp_path / "held" / "noise", 1, seed=95)
    material = from_folders(*two, validation=tmp_path / "held", **SIZES)
    assert len(material.train_set._speech) == 7 and len(material.validation_set._speech) == 2
    assert all("held" in path for path in _paths(material.validation_set._noise))
    with pytest.raises(FileNotFoundError, match="validation's speech"):
        from_folders(*two, validation=tmp_path / "nowhere", **SIZES)


def test_recorded_pairs_give_the_same_place_of_both_sides(pairs):
    material = from_pairs(*pairs, **SIZES)
    train, held = material.train_set, material.validation_set
    assert (len(train), len(held)) == (6, VALIDATION_CLIPS)
    for noisy, clean in (train[k] for k in range(6)):
        assert noisy.shape == clean.shape == (1, 4000)
        assert torch.allclose(noisy, 3 * clean, atol=2e-3)  # both were rounded to 16 bits
        assert noisy.square().mean().sqrt() == pytest.approx(0.1, rel=1e-3)
    assert not set(train._pairs.names) & set(held._pairs.names)
    assert sorted([*train._pairs.names, *held._pairs.names]) == [f"{k}.wav" for k in range(5)]


def test_segments_change_with_the_epoch_and_repeat_with_the_seed(pairs):
    segments = SegmentDataset(NoisyCleanDataset(*pairs), segment_length=4000, size=6)
    first = [segments[k][0] for k in range(6)]
    assert len({tuple(s[0, :9].tolist()) for s in first}) > 3
    segments.set_epoch(1)
    assert not torch.equal(segments[0][0], first[0])
    segments.set_epoch(0)
    assert torch.equal(segments[0][0], first[0])
    with pytest.raises(IndexError, match="0 and 5"):
        segments[6]


def test_pairs_of_unequal_length_are_named_before_training_and_left_out(pairs):
    save_audio(pairs[1] / "3.wav", _noise(5000), 16000, overwrite=True)
    with pytest.warns(UserWarning, match="left out.*3.wav.*9003 and 5000"):
        material = from_pairs(*pairs, **SIZES)
    names = material.train_set._pairs.names + material.validation_set._pairs.names
    assert sorted(names) == ["0.wav", "1.wav", "2.wav", "4.wav"]
    save_audio(pairs[1] / "2.wav", _noise(5000), 16000, overwrite=True)
    with pytest.raises(ValueError, match="2 of 5.*3.wav"):
        from_pairs(*pairs, **SIZES)


def test_pairs_with_a_validation_folder(pairs, tmp_path):
    for side in ("noisy", "clean"):
        _fill(tmp_path / "held" / side, 2, seed=70)
    material = from_pairs(*pairs, validation=tmp_path / "held", **SIZES)
    assert len(material.train_set._pairs) == 5 and len(material.validation_set._pairs) == 2
    assert material.fingerprint != from_pairs(*pairs, **SIZES).fingerprint


def test_a_pause_is_drawn_again_and_silence_makes_no_error(tmp_path):
    (tmp_path / "s").mkdir()
    late = torch.cat([torch.zeros(1, 20_000), _noise(20_000)], dim=-1)
    save_audio(tmp_path / "s" / "late.wav", late, 16000)
    save_audio(tmp_path / "s" / "silent.wav", torch.zeros(1, 20_000), 16000)
    file = AudioFile(str(tmp_path / "s" / "late.wav"), 2.5)
    loud = 0
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        piece = datasets._piece([file], 4000, draw, datasets.LostFiles([file], "speech"))
        loud += piece.square().mean().sqrt().item() > 0.003
    assert loud >= 17  # a single draw hits the silence in four of nine cases
    silent = AudioFile(str(tmp_path / "s" / "silent.wav"), 1.25)
    mixtures = MixtureDataset(
        [[silent]], [silent], segment_length=4000, size=12, augmentation=Augmentation()
    )
    for noisy, clean in (mixtures[k] for k in range(12)):
        assert torch.isfinite(noisy).all() and noisy.abs().max() > 0 and clean.abs().max() == 0


def _stereo(path, left, right):
    save_audio(path, torch.cat([left, right]), 16000, overwrite=True)


@pytest.mark.parametrize("side", [0, 1])
def test_a_folder_in_which_nothing_is_heard_is_refused(two, side):
    for path in two[side].iterdir():
        save_audio(path, torch.zeros(1, 20_000), 16000, overwrite=True)
    name = ("speech", "noise")[side]
    with pytest.raises(ValueError, match=f"{name} must hold sound.*silence"):
        from_folders(*two, **SIZES)


def test_voices_whose_channels_cancel_are_named_and_refused_if_all_do(two):
    paths = sorted(two[0].iterdir())
    for path in paths[:2]:
        _stereo(path, _noise(9000), -_noise(9000))
    with pytest.warns(UserWarning, match="speech.*2 of 7 files.*0.wav.*cancel"):
        assert from_folders(*two, **SIZES)
    for path in paths:
        _stereo(path, _noise(9000), -0.99 * _noise(9000))
    with pytest.raises(ValueError, match="speech.*cancel"):
        from_folders(*two, **SIZES)


@pytest.mark.filterwarnings("error")
def test_voices_with_long_pauses_are_no_reason_to_complain(two):
    for path in two[0].iterdir():
        gated = torch.cat([torch.zeros(1, 3000), _noise(18_000), torch.zeros(1, 3000)], dim=-1)
        save_audio(path, gated, 16000, overwrite=True)
    assert from_folders(*two, **SIZES)


def test_damaged_short_and_vanished_files_are_named_and_left_out(two):
    (two[0] / "3.wav").write_bytes(b"RIFF")
    with pytest.warns(UserWarning, match="left out of speech.*3.wav"):
        material = from_folders(*two, **SIZES)
    assert "6 files" not in material.about and "5 files of speech" in material.about
    save_audio(two[0] / "3.wav", _noise(3), 16000, overwrite=True)
    with pytest.warns(UserWarning, match="3.wav.*at least 0.1 s"):
        from_folders(*two, **SIZES)
    (two[0] / "4.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="speech must hold files that can be read, got 2 of 7"):
        from_folders(*two, **SIZES)


def test_what_was_held_out_stays_held_out_when_files_go(two):
    first = from_folders(*two, **SIZES)
    for name in first.held_out["speech"]:
        assert any(Path(path).name == name for path in _held(first))
    gone = next(iter(sorted(_trained(first))))
    Path(gone).unlink()
    again = from_folders(*two, held_out=first.held_out, **SIZES)
    assert _held(again) == _held(first) and _trained(again) == _trained(first) - {gone}
    for path in _held(first):
        Path(path).unlink()
    with pytest.raises(ValueError, match="speech.*held out"):
        from_folders(*two, held_out=first.held_out, **SIZES)


def _held(material):
    return _paths(sum(material.validation_set._speech, []))


def _trained(material):
    return _paths(sum(material.train_set._speech, []))


@pytest.mark.parametrize("fault", ["same folder", "copies", "silence"])
def test_pairs_that_teach_nothing_are_refused(pairs, fault):
    noisy, clean = pairs
    if fault == "same folder":
        clean = noisy
    for path in noisy.iterdir():
        if fault == "copies":
            (clean / path.name).write_bytes(path.read_bytes())
        if fault == "silence":
            save_audio(clean / path.name, torch.zeros(1, 9000), 16000, overwrite=True)
    with pytest.raises(ValueError, match="noisy and clean.*(same sound|silence)"):
        from_pairs(noisy, clean, **SIZES)
