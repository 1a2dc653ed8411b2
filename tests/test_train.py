"""The training command: from a folder of clips to a checkpoint that can be used."""

import csv
import dataclasses
import json

import pytest
import torch

from course_utils import train
from course_utils.audio import save_audio
from course_utils.corpus import Clip
from course_utils.datasets import Augmentation
from course_utils.training import load_checkpoint


@pytest.fixture
def corpus(tmp_path):
    """A corpus in small: two voices and two noises in each split."""
    names = [f.name for f in dataclasses.fields(Clip) if f.name != "data_dir"]
    rows = []
    for split in ("train", "validation"):
        for role, kinds in (("speech", "ab"), ("noise", "cd"), ("room", "e")):
            for kind in kinds:
                file = f"{role}_{split}_{kind}.flac"
                generator = torch.Generator().manual_seed(len(rows))
                save_audio(
                    tmp_path / file, 0.05 * torch.randn(1, 24000, generator=generator), 16000
                )
                row = dict.fromkeys(names, "")
                rows.append(
                    row
                    | {"file": file, "role": role, "kind": kind, "split": split, "duration": 1.5}
                )
    with open(tmp_path / "manifest.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(train, "SEGMENT_LENGTH", 8000)
    monkeypatch.setattr(train, "BATCH_SIZE", 2)
    monkeypatch.setattr(train, "BATCHES_PER_EPOCH", 2)
    some = train.make_test_pairs(snrs_db=(5,), sentences_per_noise=1, noises_per_kind=1)[:2]
    monkeypatch.setattr(train, "make_test_pairs", lambda **_: some)


def test_datasets_keep_the_splits_apart_and_validate_on_the_same_pairs(corpus):
    train_set, validation_set = train.make_datasets(
        corpus, size=4, segment_length=8000, augmentation=Augmentation()
    )
    assert len(train_set) == 4 and len(validation_set) == train.VALIDATION_CLIPS
    for name in ("_speech", "_noise", "_rooms"):
        ours, theirs = getattr(train_set, name), getattr(validation_set, name)
        flat = [
            [c for v in side for c in (v if isinstance(v, list) else [v])]
            for side in (ours, theirs)
        ]
        assert not any(torch.equal(a, b) for a in flat[0] for b in flat[1])
    again = train.make_datasets(corpus, size=4, segment_length=8000, seed=5)[1]
    assert torch.equal(again[3][0], validation_set[3][0])


def test_the_command_writes_a_checkpoint_and_says_how_it_was_made(corpus, quick, tmp_path, capsys):
    output = tmp_path / "out" / "denoiser.pt"
    code = train.main(["--data", str(corpus), "--output", str(output), "--minutes", "0.05"])
    assert code == 0 and "validation" in capsys.readouterr().out
    model, report = load_checkpoint(output), json.loads(output.with_suffix(".json").read_text())
    assert report["parameters"] > 100_000 and report["config"]["seed"] == 0
    assert report["data"] == "0 min of speech, 0 min of recorded noise"
    assert report["test_scores"]["input_si_sdr"] == pytest.approx(5, abs=0.2)
    assert report["test_scores"].keys() == model.metadata["test_scores"].keys()
    assert model.metadata["best_validation_loss"] == report["best_validation_loss"]
    with torch.no_grad():
        assert model(torch.zeros(1, 500)).shape == (1, 500)


def test_a_missing_folder_is_one_sentence(tmp_path, capsys):
    code = train.main(["--data", str(tmp_path / "nowhere"), "--output", str(tmp_path / "a.pt")])
    error = capsys.readouterr().err
    assert code == 2 and "nowhere" in error and error.count("\n") == 1
    assert not (tmp_path / "a.pt").exists()
