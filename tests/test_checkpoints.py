"""Checkpoints: exact round trips, never half-written, and bad files named."""

import os
import zipfile

import pytest
import torch
from full_disk import no_more_than

from course_utils.checkpoints import (
    DEFAULT_CHECKPOINT,
    load_checkpoint,
    save_checkpoint,
    save_run,
    stopped_run,
)
from course_utils.features import STFTConfig
from course_utils.models import Denoiser, MaskNet


def _small():
    return Denoiser(MaskNet(channels=(4, 4, 4), hidden_size=8))


def test_checkpoint_round_trip_is_exact(tmp_path):
    model = Denoiser(
        MaskNet(129, channels=(4, 4, 4), hidden_size=8),
        STFTConfig(n_fft=256, win_length=256, hop_length=128),
    ).eval()
    save_checkpoint(tmp_path / "new" / "a.pt", model, metadata={"seed": 3, "scores": [1.5]})
    loaded = load_checkpoint(tmp_path / "new" / "a.pt")
    noisy = 0.1 * torch.randn(1, 2000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(noisy), model(noisy))
    assert loaded.config == model.config and loaded.metadata == {"seed": 3, "scores": [1.5]}
    assert not loaded.training


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, _small())
    before = path.read_bytes()
    with pytest.raises(Exception, match="pickle|local object"):
        save_checkpoint(path, _small(), metadata={"bad": lambda: 0})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_bad_checkpoints_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.pt"):
        load_checkpoint(tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"something": 1}, tmp_path / "other.pt")
    whole = tmp_path / "whole.pt"
    save_checkpoint(whole, _small())
    (tmp_path / "half.pt").write_bytes(whole.read_bytes()[:2000])
    for name in ("text.pt", "other.pt", "half.pt"):
        with pytest.raises(ValueError, match=f"{name}.*cannot be read"):
            load_checkpoint(tmp_path / name)


def test_the_shipped_checkpoint_loads():
    model = load_checkpoint(DEFAULT_CHECKPOINT)
    assert not model.training and model.metadata


def test_only_a_denoiser_is_kept(tmp_path):
    with pytest.raises(TypeError, match="model.*Linear"):
        save_checkpoint(tmp_path / "a.pt", torch.nn.Linear(2, 2))
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_is_read_back_as_it_was(tmp_path):
    state = {
        "model": {"gain": torch.ones(1)},
        "optimizer": {"state": {}},
        "rng": torch.get_rng_state(),
        "history": [{"epoch": 0}],
        "best": {"gain": torch.zeros(1)},
        "metadata": {"about": "a test"},
    }
    save_run(tmp_path / "a.pt", state)
    assert [file.name for file in tmp_path.iterdir()] == ["a.last.pt"]
    saved = stopped_run(tmp_path / "a.pt")
    assert torch.equal(saved.pop("rng"), state.pop("rng"))
    assert saved == state


def test_a_checkpoint_needs_no_suffix_and_a_folder_that_is_no_folder_is_one_sentence(tmp_path):
    save_checkpoint(tmp_path / "denoiser", _small())
    assert [file.name for file in tmp_path.iterdir()] == ["denoiser"]
    assert load_checkpoint(tmp_path / "denoiser") is not None
    with pytest.raises(OSError, match="denoiser"):
        save_checkpoint(tmp_path / "denoiser" / "a.pt", _small())


@pytest.mark.parametrize("fault", ["weights", "stft"])
def test_what_could_only_give_nan_or_nothing_is_not_loaded(tmp_path, fault):
    save_checkpoint(tmp_path / "a.pt", _small())
    saved = torch.load(tmp_path / "a.pt", weights_only=True)
    if fault == "weights":
        next(iter(saved["weights"].values())).fill_(float("nan"))
    else:
        saved["stft"] |= {"n_fft": 256, "win_length": 256, "hop_length": 128}
    torch.save(saved, tmp_path / "b.pt")
    with pytest.raises(ValueError, match="b.pt"):
        load_checkpoint(tmp_path / "b.pt")


def test_flipped_bytes_are_refused_or_change_nothing(tmp_path):
    """A flipped byte between the parts of the archive is harmless; one in a weight is not."""
    path = tmp_path / "a.pt"
    save_checkpoint(path, _small(), metadata={"scores": [1.5, 2.5]})
    whole, model = path.read_bytes(), load_checkpoint(path)
    refused = 0
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        content = bytearray(whole)
        for place in torch.randint(len(whole), (3,), generator=generator).tolist():
            content[place] ^= 1 << seed % 8
        path.write_bytes(content)
        try:
            loaded = load_checkpoint(path)
        except ValueError as error:
            assert "a.pt" in str(error)
            refused += 1
            continue
        assert loaded.metadata == model.metadata
        assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    assert refused > 20


def test_every_bit_of_every_weight_counts(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, _small())
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        weights = [archive.read(name) for name in archive.namelist() if "/data/" in name]
    for weight in weights:
        if len(weight) < 64:  # too short to be found in the file for certain
            continue
        content = bytearray(whole)
        content[whole.index(weight)] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match="a.pt"):
            load_checkpoint(path)


def test_a_checkpoint_of_pytorchs_oldest_format_loads(tmp_path):
    save_checkpoint(tmp_path / "a.pt", _small())
    saved = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save(saved, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "b.pt")
    assert load_checkpoint(tmp_path / "b.pt") is not None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk_keeps_the_old_checkpoint_whatever_fits(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, _small())
    before = path.read_bytes()
    for room in range(0, len(before), len(before) // 7):
        with no_more_than(room), pytest.raises(OSError, match="a.pt") as error:
            save_checkpoint(path, _small())
        assert "\n" not in str(error.value)
        assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
