"""Datasets: pairs by name from two folders, and mixtures that a seed repeats."""

import dataclasses

import pytest
import torch
from torch.utils.data import DataLoader

from course_utils.audio import save_audio
from course_utils.augmentation import NO_AUGMENTATION, Augmentation, equalize
from course_utils.datasets import MixtureDataset, NoisyCleanDataset


def _noise(time, seed=0, level=0.1):
    return level * torch.randn(1, time, generator=torch.Generator().manual_seed(seed))


def _mixtures(**changes):
    speech = [[_noise(9000, s), _noise(20000, s + 10)] for s in range(3)]
    noise = [_noise(12000, s + 20, level=0.5) for s in range(3)]
    settings = {"segment_length": 8000, "size": 24, "seed": 1}
    return MixtureDataset(speech, noise, **(settings | changes))


@pytest.fixture
def folders(tmp_path):
    for side, seed in (("noisy", 0), ("clean", 1)):
        (tmp_path / side).mkdir()
        for name, time in (("b.wav", 4000), ("a.wav", 5000)):
            save_audio(tmp_path / side / name, _noise(time, seed, 0.05), 16000)
    return tmp_path / "noisy", tmp_path / "clean"


def test_two_folders_are_matched_by_name(folders):
    pairs = NoisyCleanDataset(*folders)
    assert pairs.names == ["a.wav", "b.wav"] and len(pairs) == 2
    noisy, clean = pairs[0]
    assert noisy.shape == clean.shape == (1, 5000)
    assert torch.allclose(noisy, _noise(5000, 0, 0.05), atol=1e-4)
    assert torch.allclose(clean, _noise(5000, 1, 0.05), atol=1e-4)


def test_segments_make_batches(folders):
    pairs = NoisyCleanDataset(*folders, segment_length=4500)
    noisy, clean = next(iter(DataLoader(pairs, batch_size=2)))
    assert noisy.shape == clean.shape == (2, 1, 4500)


def test_another_rate_is_resampled(folders):
    assert NoisyCleanDataset(*folders, sample_rate=8000)[0][0].shape == (1, 2500)


def test_a_file_without_partner_is_named(folders):
    (folders[1] / "b.wav").unlink()
    with pytest.raises(ValueError, match="b.wav.*clean_dir"):
        NoisyCleanDataset(*folders)


def test_missing_and_empty_folders_are_named(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match="clean_dir.*nowhere"):
        NoisyCleanDataset(folders[0], tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="noisy_dir"):
        NoisyCleanDataset(tmp_path / "empty", folders[1])


def test_a_date_is_a_seed():
    noise = [_noise(4000, 1)]
    dataset = MixtureDataset([noise], noise, segment_length=1000, size=2, seed=20_261_128)
    assert torch.equal(dataset[1][0], dataset[1][0])


def test_files_that_a_mac_left_beside_the_recordings_are_no_pairs(folders):
    names = NoisyCleanDataset(*folders).names
    (folders[0] / "._a.wav").write_bytes(b"no sound")
    assert NoisyCleanDataset(*folders).names == names


def test_unequal_lengths_are_refused(folders):
    save_audio(folders[1] / "a.wav", _noise(4000), 16000, overwrite=True)
    with pytest.raises(ValueError, match="'a.wav'.*5000 and 4000"):
        NoisyCleanDataset(*folders)[0]


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_mixtures_repeat_with_the_seed_and_change_with_the_epoch(augmentation):
    first, again = _mixtures(augmentation=augmentation), _mixtures(augmentation=augmentation)
    other = _mixtures(augmentation=augmentation, seed=2)
    assert all(torch.equal(first[i][k], again[i][k]) for i in range(6) for k in (0, 1))
    assert not torch.equal(first[0][0], other[0][0])
    before = first[0][0]
    first.set_epoch(1)
    assert not torch.equal(first[0][0], before)
    first.set_epoch(0)
    assert torch.equal(first[0][0], before)


def test_a_seed_gives_the_items_that_it_always_gave():
    """Numbers noted down once: the draws must stay in their order, or no run can be repeated."""
    rooms = [torch.tensor([[1.0, 0.3]])]
    steady = dataclasses.replace(Augmentation(), level_jump=0.0, silence=0.0)
    for augmentation, first, second in (
        (steady, 13925.23, 13044.983),
        (Augmentation(), 12701.153, 13044.983),
    ):
        mixtures = _mixtures(augmentation=augmentation, rooms=rooms, size=24, seed=3)
        sums = [float(sum(side.double().abs().sum() for side in mixtures[i])) for i in range(24)]
        assert sum(sums[:12]) == pytest.approx(first, rel=1e-4)
        assert sum(sums[12:]) == pytest.approx(second, rel=1e-4)


def test_workers_do_not_change_the_items():
    mixtures = _mixtures(augmentation=Augmentation(), size=6)
    alone = torch.cat([noisy for noisy, _ in DataLoader(mixtures, 2)])
    helped = torch.cat([noisy for noisy, _ in DataLoader(mixtures, 2, num_workers=2)])
    # A worker computes with one thread, which rounds sums in another order.
    assert torch.allclose(alone, helped, atol=1e-5)


def test_the_snr_of_every_mixture_lies_in_the_range():
    mixtures = _mixtures(snr_db=(3.0, 6.0))
    for noisy, clean in (mixtures[i] for i in range(len(mixtures))):
        noise = noisy - clean
        snr = 10 * torch.log10(clean.square().mean() / noise.square().mean())
        assert 2.99 <= snr <= 6.01
        assert noisy.square().mean().sqrt() == pytest.approx(0.1, rel=1e-4)


def test_every_item_is_finite_and_of_the_right_shape():
    mixtures = _mixtures(augmentation=Augmentation(), rooms=[torch.tensor([[1.0, 0.3]])], size=150)
    for noisy, clean in (mixtures[i] for i in range(len(mixtures))):
        assert noisy.shape == clean.shape == (1, 8000)
        assert torch.isfinite(noisy).all() and torch.isfinite(clean).all()


def test_clean_only_and_noise_only_are_what_they_say():
    quiet = _mixtures(augmentation=Augmentation(clean_only=1.0, noise_only=0.0, clipping=0.0))
    assert torch.equal(*quiet[0])
    loud = _mixtures(augmentation=Augmentation(noise_only=1.0))
    assert loud[0][1].abs().max() == 0 and loud[0][0].abs().max() > 0


@pytest.mark.parametrize("odds", [0.0, 1.0])
def test_reversed_noise_is_the_recording_backwards(odds):
    ramp = torch.linspace(0.1, 1, 40_000)[None]  # any piece of it rises, unless it is turned
    changes = dataclasses.replace(NO_AUGMENTATION, noise_only=1.0, reverse=odds)
    settings = {"segment_length": 8000, "size": 1, "augmentation": changes}
    noisy, _ = MixtureDataset([[_noise(9000)]], [ramp], **settings)[0]
    assert bool(noisy[0, 0] > noisy[0, -1]) == (odds == 1.0)


def test_clipping_touches_the_noisy_clip_alone():
    odds = dict(clipping=1.0, clean_only=1.0, noise_only=0.0)
    noisy, clean = _mixtures(augmentation=Augmentation(**odds))[0]
    peak = noisy.abs().max()
    assert (noisy.abs() == peak).sum() > 1 and clean.abs().max() > peak
    assert torch.allclose(noisy, clean.clamp(-peak, peak), atol=1e-6)


def test_without_augmentation_the_voice_is_the_recording():
    """The clean side must be a piece of one of the clips, only its level changed."""
    speech = _noise(30000)
    mixtures = MixtureDataset([[speech]], [_noise(9000, 5)], segment_length=8000, size=4)
    for _, clean in (mixtures[i] for i in range(4)):
        windows = speech[0].unfold(0, 8000, 1)
        likeness = (windows @ clean[0]) / (windows.norm(dim=1) * clean.norm())
        assert likeness.max() > 0.9999 or _is_joint(speech, clean)


def _is_joint(speech, clean):
    """Tell whether a segment spans the end of the clip and its beginning."""
    twice = torch.cat([speech, speech], dim=-1)[0].unfold(0, 8000, 1)
    return ((twice @ clean[0]) / (twice.norm(dim=1) * clean.norm())).max() > 0.9999


def test_equalised_voice_differs_from_the_recording():
    clip = _noise(8000)
    assert not torch.allclose(equalize(clip, generator=torch.Generator().manual_seed(0)), clip)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segment_length": 0}, "segment_length.*0"),
        ({"size": 0}, "size.*0"),
        ({"snr_db": (10.0, 0.0)}, r"snr_db must be.*\(10.0, 0.0\)"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        _mixtures(**changes)


def test_no_speech_and_no_noise_are_refused():
    with pytest.raises(ValueError, match="speech"):
        MixtureDataset([], [_noise(10)], segment_length=8, size=1)
    with pytest.raises(ValueError, match="noise"):
        MixtureDataset([[_noise(10)]], [], segment_length=8, size=1)
    with pytest.raises(IndexError, match="0 and 23"):
        _mixtures()[24]
