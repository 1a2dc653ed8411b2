"""Files that turn out damaged: said once, known to all workers, and too many end the run."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from course_utils.audio import save_audio
from course_utils.datasets import AudioFile, MixtureDataset
from course_utils.lost_files import LostFiles


def _note(lost, *files):
    for file in files:
        lost.note(file, ValueError(f"{file} is damaged"))


def test_a_lost_file_is_said_once_and_left_out():
    lost = LostFiles(list("abcdefghij"), "speech")
    assert lost.left("abc") == list("abc") and lost.found() == [] and "a" not in lost
    with pytest.warns(UserWarning, match="left out of speech: b is damaged"):
        _note(lost, "b")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _note(lost, "b")
    assert "b" in lost and lost.left("abcx") == list("acx") and lost.found() == ["b"]


@pytest.mark.parametrize(("count", "allowed"), [(1, 0), (2, 1), (9, 1), (30, 3)])
@pytest.mark.filterwarnings("ignore:left out")
def test_too_many_are_an_error_that_names_the_last(count, allowed):
    lost = LostFiles(range(count), "noise")
    _note(lost, *range(allowed))
    with pytest.raises(ValueError, match=f"noise.*{allowed + 1} of {count}.*{allowed} is damaged"):
        _note(lost, allowed)


@pytest.mark.filterwarnings("ignore:left out")
def test_what_one_worker_finds_the_program_and_the_next_epoch_know(tmp_path):
    files = []
    for k in range(4):
        sound = 0.1 * torch.randn(1, 9000, generator=torch.Generator().manual_seed(k))
        save_audio(tmp_path / f"{k}.wav", sound, 16000)
        files.append(AudioFile(str(tmp_path / f"{k}.wav"), 9000 / 16000))
    dataset = MixtureDataset([[file] for file in files], files[:2], segment_length=4000, size=12)
    (tmp_path / "3.wav").unlink()
    for epoch in range(2):
        dataset.set_epoch(epoch)
        batches = list(DataLoader(dataset, 4, num_workers=1))
        assert len(batches) == 3 and all(torch.isfinite(noisy).all() for noisy, _ in batches)
        assert dataset.left_out() == [str(tmp_path / "3.wav")]


def test_a_file_of_one_sample_is_read_a_few_times_for_an_item_and_not_by_the_thousand(
    tmp_path, monkeypatch
):
    save_audio(tmp_path / "one.wav", torch.full((1, 1), 0.5), 16000)
    reads = []
    read = AudioFile.read_piece

    def count(file, num_samples, **more):
        reads.append(file)
        return read(file, num_samples, **more)

    monkeypatch.setattr(AudioFile, "read_piece", count)
    voice = [AudioFile(str(tmp_path / "one.wav"), 1 / 16000)]
    noise = 0.1 * torch.randn(1, 9000, generator=torch.Generator().manual_seed(0))
    noisy, _ = MixtureDataset([voice], [noise], segment_length=32_000, size=1)[0]
    assert noisy.shape == (1, 32_000) and torch.isfinite(noisy).all() and len(reads) < 40
