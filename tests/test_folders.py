"""Folders larger than memory: an index of lengths, parts that share nothing, pieces on demand."""

import pytest
import soundfile
import torch
from splitting import hold_out

from course_utils import datasets
from course_utils.audio import save_audio
from course_utils.datasets import AudioFile
from course_utils.train.folders import all_files, fingerprint, list_audio


def _noise(time, seed=0):
    return 0.1 * torch.randn(1, time, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def voices(tmp_path):
    """Six voices with two files each, one of them a level deeper, and a file of no voice."""
    for k in range(6):
        for path in (f"voice{k}/a.wav", f"voice{k}/chapter/b.flac"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            save_audio(tmp_path / path, _noise(4000 + k), 16000)
    save_audio(tmp_path / "alone.wav", _noise(8000), 8000)
    (tmp_path / "notes.txt").write_text("no sound")
    return tmp_path


def test_files_are_listed_by_subfolder_with_their_lengths(voices):
    index = list_audio(voices)
    assert sorted(index) == ["alone.wav", *(f"voice{k}" for k in range(6))]
    assert [file.duration for file in index["voice3"]] == [4003 / 16000] * 2
    assert index["alone.wav"][0].duration == 1.0
    assert len(all_files(index)) == 13


def test_whole_subfolders_are_held_out_where_there_are_enough(voices):
    index = list_audio(voices)
    train, held = hold_out(index, share=0.3)
    assert len(held) == 2 and not set(train) & set(held)
    assert {**train, **held} == index
    assert hold_out(index, share=0.3) == (train, held)
    assert any(hold_out(index, share=0.3, seed=s)[1] != held for s in range(1, 5))


def test_with_few_subfolders_files_are_held_out(voices):
    index = {name: files for name, files in list_audio(voices).items() if name in "voice0 voice1"}
    train, held = hold_out(index)
    files, others = all_files(train), all_files(held)
    assert len(others) == 1 and len(files) == 3 and not set(files) & set(others)


def test_one_file_cannot_be_split(voices):
    with pytest.raises(ValueError, match="speech.*got 1"):
        hold_out({"a": list_audio(voices)["alone.wav"]}, name="speech")


def test_a_piece_is_what_the_file_holds_there(tmp_path):
    path = tmp_path / "a.wav"
    save_audio(path, _noise(50_000), 16000)
    whole, _ = soundfile.read(path, dtype="float32")
    windows = torch.from_numpy(whole).unfold(0, 4000, 1)
    starts = set()
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        piece = AudioFile(str(path), 50_000 / 16000).read_piece(4000, generator=generator)
        assert piece.shape == (1, 4000)
        same = (windows == piece).all(dim=1).nonzero().flatten().tolist()
        assert len(same) == 1
        starts |= set(same)
    assert len(starts) == 5


def test_nothing_but_the_piece_is_read(tmp_path, monkeypatch):
    save_audio(tmp_path / "a.wav", _noise(48_000), 16000)
    asked = []

    def load_audio(path, **place):
        asked.append(place["duration"])
        return _noise(4000), 16000

    monkeypatch.setattr(datasets, "load_audio", load_audio)
    file = all_files(list_audio(tmp_path))[0]
    assert asked == []
    file.read_piece(4000, generator=torch.Generator())
    assert asked == [0.25]


def test_a_short_file_is_read_whole_and_another_rate_resampled(tmp_path):
    save_audio(tmp_path / "a.wav", _noise(2000), 8000)
    file = all_files(list_audio(tmp_path))[0]
    assert file.read_piece(9000, generator=torch.Generator()).shape == (1, 4000)


def test_missing_empty_and_broken_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="speech.*nowhere"):
        list_audio(tmp_path / "nowhere", name="speech")
    with pytest.raises(ValueError, match="noise"):
        list_audio(tmp_path, name="noise")
    (tmp_path / "broken.wav").write_text("hello")
    with pytest.raises(ValueError, match="broken.wav"):
        list_audio(tmp_path)


def test_a_fingerprint_tells_lists_apart():
    prints = {fingerprint(items) for items in ([], ["a"], ["a", "b"], ["b", "a"], [("a", 1.0)])}
    assert len(prints) == 5 and all(len(p) == 16 for p in prints)
    assert fingerprint(iter(["a"])) == fingerprint(["a"])
