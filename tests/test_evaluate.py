"""The evaluation: fixed pairs, honest rows, tables that add up, errors in words."""

import csv
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from course_utils import evaluate
from course_utils.audio import SAMPLE_RATE, save_audio
from course_utils.baselines import do_nothing, wiener_filter
from course_utils.checkpoints import save_checkpoint
from course_utils.evaluate import __main__ as command
from course_utils.evaluate import pairs
from course_utils.metrics import si_sdr, snr
from course_utils.models import Denoiser, MaskNet


@dataclass(frozen=True)
class FakeClip:
    file: str
    kind: str
    seed: int
    seconds: float = 2.0

    @property
    def path(self):
        return Path(self.file)

    def load(self):
        generator = torch.Generator().manual_seed(self.seed)
        time = torch.arange(int(self.seconds * SAMPLE_RATE)) / SAMPLE_RATE
        noise = torch.randn(1, len(time), generator=generator)
        if "room" in self.file:
            return torch.nn.functional.pad(0.05 * noise[:, :800], (100, 0)).index_fill(
                1, torch.tensor([100]), 1.0
            )
        if "noise" in self.file:
            return 0.1 * noise
        syllables = torch.sin(2 * math.pi * 1.7 * time).clamp_min(0)
        buzz = sum(torch.cos(2 * math.pi * (110 + self.seed) * k * time) / k for k in range(1, 20))
        return 0.05 * (syllables * buzz)[None] + 0.0005 * noise


CLIPS = {
    "speech": [FakeClip(f"speech_{v}{i}.flac", v, 7 * i) for v in ("ann", "bob") for i in range(3)],
    "noise": [FakeClip(f"noise_{k}{i}.flac", k, 50 + i) for k in ("rain", "bus") for i in range(2)],
    "room": [FakeClip("room_hall.flac", "hall", 90, 0.1)],
}


@pytest.fixture
def fake_corpus(monkeypatch):
    monkeypatch.setattr(pairs, "select", lambda *, role, split, data_dir: CLIPS[role])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    save_checkpoint(path, Denoiser(MaskNet(257, channels=(4, 4, 4), hidden_size=8)))
    return path


# --- the pairs -----------------------------------------------------------------------------


def test_every_noise_meets_every_snr_and_the_voices_take_turns(fake_corpus):
    pairs = evaluate.make_test_pairs(snrs_db=(-5, 10), sentences_per_noise=2)
    assert len(pairs) == 4 * 2 * 2
    noises = [f"noise_{kind}{i}" for kind in ("rain", "bus") for i in (0, 1)]
    couples = {(noise, snr_db) for noise in noises for snr_db in (-5, 10)}
    assert {(pair.noise, pair.snr_db) for pair in pairs} == couples
    assert [p.voice for p in pairs[::2]] == ["ann", "bob"] * 4
    assert {p.kind for p in pairs} == {"rain", "bus"} and len({p.name for p in pairs}) == len(pairs)


def test_the_snr_is_what_the_label_says(fake_corpus):
    for pair in evaluate.make_test_pairs(sentences_per_noise=1):
        measured = snr(estimate=pair.noisy, reference=pair.clean)
        assert measured == pytest.approx(pair.snr_db, abs=0.01)
        assert pair.noisy.shape == pair.clean.shape == (1, 2 * SAMPLE_RATE)
        assert float(pair.noisy.abs().max()) <= 1


def test_snrs_of_one_couple_differ_in_nothing_but_the_level_of_the_noise(fake_corpus):
    low, high = evaluate.make_test_pairs(snrs_db=(0, 15), sentences_per_noise=1)[:2]
    noise_low, noise_high = low.noisy - low.clean, high.noisy - high.clean
    assert si_sdr(estimate=noise_low, reference=noise_high) > 60


def test_the_list_is_the_same_every_time_and_follows_the_seed(fake_corpus):
    options = {"snrs_db": (5,), "sentences_per_noise": 1, "seconds": 1.0}
    first, again = (evaluate.make_test_pairs(**options) for _ in range(2))
    other = evaluate.make_test_pairs(**options, seed=1)
    assert all(torch.equal(a.noisy, b.noisy) for a, b in zip(first, again, strict=True))
    assert all(not torch.equal(a.noisy, b.noisy) for a, b in zip(first, other, strict=True))
    assert [p.name for p in first] == [p.name for p in other]
    assert first[0].clean.shape == (1, SAMPLE_RATE)


def test_in_rooms_adds_the_same_couple_in_each_room(fake_corpus):
    pairs = evaluate.make_test_pairs(
        snrs_db=(5,), sentences_per_noise=1, noises_per_kind=1, in_rooms=True
    )
    assert [p.room for p in pairs] == ["dry", "hall"] * 2
    assert not torch.equal(pairs[0].clean, pairs[1].clean)
    assert snr(estimate=pairs[1].noisy, reference=pairs[1].clean) == pytest.approx(5, abs=0.01)


def test_bad_options_are_refused_in_words(fake_corpus):
    with pytest.raises(ValueError, match="sentences_per_noise.*got 0"):
        evaluate.make_test_pairs(sentences_per_noise=0)
    with pytest.raises(ValueError, match="seconds"):
        evaluate.make_test_pairs(seconds=0.2)
    with pytest.raises(ValueError, match="noises_per_kind.*got 0"):
        evaluate.make_test_pairs(noises_per_kind=0)


def test_recorded_pairs_come_from_two_folders(tmp_path):
    clip = CLIPS["speech"][0].load()
    for folder, gain in (("noisy", 0.5), ("clean", 1.0)):
        (tmp_path / folder).mkdir()
        for name in ("b.wav", "a.wav"):
            save_audio(tmp_path / folder / name, gain * clip, SAMPLE_RATE)
    pairs = evaluate.read_pairs(tmp_path / "noisy", tmp_path / "clean")
    assert [p.name for p in pairs] == ["a.wav", "b.wav"] or [p.name for p in pairs] == ["a", "b"]
    assert float(pairs[0].clean.abs().max()) > 1.9 * float(pairs[0].noisy.abs().max())
    assert pairs[0].snr_db is None
    with pytest.raises(FileNotFoundError, match="clean_dir.*nowhere"):
        evaluate.read_pairs(tmp_path / "noisy", tmp_path / "nowhere")


# --- the rows and tables -------------------------------------------------------------------


def test_rows_hold_input_score_and_improvement_of_every_method(fake_corpus):
    pairs = evaluate.make_test_pairs(snrs_db=(0,), sentences_per_noise=1)
    seen = []
    rows = evaluate.score_pairs(
        pairs,
        {"nothing": do_nothing, "wiener": wiener_filter},
        scores=("si_sdr", "stoi"),
        on_pair=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 4) for i in (1, 2, 3, 4)] and len(rows) == 8
    for pair, nothing, wiener in zip(pairs, rows[::2], rows[1::2], strict=True):
        assert (nothing["method"], wiener["method"]) == ("nothing", "wiener")
        assert nothing["name"] == wiener["name"] == pair.name and wiener["room"] == "dry"
        assert nothing["si_sdr_improvement"] == 0 and nothing["si_sdr"] == wiener["input_si_sdr"]
        assert wiener["si_sdr"] == si_sdr(estimate=wiener_filter(pair.noisy), reference=pair.clean)
        assert wiener["si_sdr_improvement"] > 3


def test_an_error_names_clip_and_method(fake_corpus):
    pairs = evaluate.make_test_pairs(snrs_db=(0,), sentences_per_noise=1)
    with pytest.raises(ValueError, match="noise_rain0 at 0 dB.*mute.*estimate"):
        evaluate.score_pairs(pairs, {"mute": torch.zeros_like}, scores=("pesq",))


def test_the_table_holds_the_means(fake_corpus):
    rows = [
        {"method": m, "kind": k, "noise": f"{k}{i}", "pesq": base + i, "snr_db": 5}
        for m, base in (("one", 1.0), ("two", 2.0))
        for k in ("rain", "bus")
        for i in (0, 1)
    ]
    lines = evaluate.format_table(rows, score="pesq", by="kind").splitlines()
    assert lines[0].split() == ["rain", "bus", "all", "clips", "[95", "%", "interval]"]
    assert lines[1].split()[:4] == ["one", "1.50", "1.50", "1.50"]
    assert lines[2].split()[:4] == ["two", "2.50", "2.50", "2.50"]
    assert len({len(line) for line in lines}) == 1 and lines[1].endswith("]")
    only = evaluate.format_table(rows, score="pesq", by=None).splitlines()
    assert only[1].split()[:2] == ["one", "1.50"]
    turned = evaluate.format_table(rows, score="pesq", by="method", lines="kind", overall=False)
    assert [line.split() for line in turned.splitlines()] == [
        ["one", "two"],
        ["rain", "1.50", "2.50"],
        ["bus", "1.50", "2.50"],
    ]
    uneven = evaluate.format_table(rows[:-2], score="pesq", by="kind").splitlines()
    assert uneven[2].split()[:3] == ["two", "2.50", "2.50"], "an empty cell stays empty"
    assert "5 dB" in evaluate.format_table(rows, score="pesq", by="snr_db")
    tiny = [{"method": "m", "noise": "n", "si_sdr": -1e-3}]
    assert "-0.0" not in evaluate.format_table(tiny, score="si_sdr", by=None)  # minus nothing
    with pytest.raises((KeyError, ValueError), match="stoi"):
        evaluate.format_table(rows, score="stoi", by="kind")


def test_a_csv_holds_every_row_and_is_written_whole(tmp_path):
    rows = [{"method": "a, b", "pesq": 1.5}, {"method": "c", "pesq": 2.0}]
    evaluate.write_csv(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"method": "a, b", "pesq": "1.5"},
            {"method": "c", "pesq": "2.0"},
        ]
    with pytest.raises(ValueError):
        evaluate.write_csv(tmp_path / "rows.csv", [rows[0], {"other": 1}])
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    with pytest.raises(ValueError, match="rows"):
        evaluate.write_csv(tmp_path / "none.csv", [])
    with pytest.raises(FileNotFoundError, match="folder of path"):
        evaluate.write_csv(tmp_path / "nowhere" / "rows.csv", rows)


# --- the command ---------------------------------------------------------------------------


def test_quick_prints_every_table_and_writes_the_csv(fake_corpus, checkpoint, tmp_path, capsys):
    path = tmp_path / "rows.csv"
    arguments = ["--quick", "--checkpoint", str(checkpoint), "--csv", str(path)]
    assert command.main(arguments) == 0
    text = capsys.readouterr().out
    for word in (
        "PESQ by SNR",
        "ESTOI by kind of noise",
        "SI-SDR by SNR",
        "Wiener filter",
        str(checkpoint),
    ):
        assert word in text
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 4  # kinds x SNRs x methods


def test_two_folders_are_scored_without_columns(checkpoint, tmp_path, capsys):
    clean = CLIPS["speech"][0].load()
    for folder, level in (("noisy", 0.02), ("clean", 0.0)):
        (tmp_path / folder).mkdir()
        noise = level * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        save_audio(tmp_path / folder / "a.wav", 0.5 * clean + noise, SAMPLE_RATE)
    folders = ["--noisy", str(tmp_path / "noisy"), "--clean", str(tmp_path / "clean")]
    assert command.main([*folders, "--checkpoint", str(checkpoint)]) == 0
    assert "1 pair," in capsys.readouterr().out


@pytest.fixture
def folders(tmp_path):
    """Two folders of pairs: one whole, and one for each way in which scoring fails."""
    clean = CLIPS["speech"][0].load()
    pairs = {
        "short": clean[:, 9000:12_000],
        "silent": torch.zeros(1, 32_000),
        "toneless": 1e-6 + torch.zeros(1, 32_000).index_fill(1, torch.tensor([9]), 0.1),
        "whole": clean,
    }
    for folder, level in (("noisy", 0.02), ("clean", 0.0)):
        (tmp_path / folder).mkdir()
        for name, sound in pairs.items():
            noise = level * torch.randn(sound.shape, generator=torch.Generator().manual_seed(0))
            save_audio(tmp_path / folder / f"{name}.wav", 0.5 * sound + noise, SAMPLE_RATE)
        for name in ("damaged", "unequal"):
            save_audio(tmp_path / folder / f"{name}.wav", clean, SAMPLE_RATE)
    damaged = tmp_path / "clean" / "damaged.wav"
    damaged.write_bytes(damaged.read_bytes()[:100])
    save_audio(tmp_path / "noisy" / "unequal.wav", clean[:, 9000:], SAMPLE_RATE, overwrite=True)
    return ["--noisy", str(tmp_path / "noisy"), "--clean", str(tmp_path / "clean")]


def test_pairs_that_cannot_be_scored_are_listed_and_the_others_scored(
    folders, checkpoint, tmp_path, capsys
):
    path = tmp_path / "rows.csv"
    arguments = [*folders, "--checkpoint", str(checkpoint), "--csv", str(path)]
    assert command.main(arguments) == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 pair,") and "Wiener filter" in out
    assert err.startswith("error: 5 pairs not scored, 1 scored:")
    lines = err.splitlines()[1:]
    for name in ("short", "silent", "toneless", "damaged", "unequal"):
        assert sum(f"'{name}.wav'" in line for line in lines) == 1, name
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == {"whole.wav"} and len(rows) == 4
    (tmp_path / "noisy" / "whole.wav").unlink(), (tmp_path / "clean" / "whole.wav").unlink()
    before = path.read_bytes()
    assert command.main([*arguments, "--force"]) == 2  # nothing left to score
    assert path.read_bytes() == before


def test_a_file_that_vanishes_while_pairs_are_read_is_left_out(folders, tmp_path, monkeypatch):
    names = pairs.NoisyCleanDataset.__getitem__

    def vanish(dataset, index):
        (tmp_path / "clean" / "whole.wav").unlink(missing_ok=True)
        return names(dataset, index)

    monkeypatch.setattr(pairs.NoisyCleanDataset, "__getitem__", vanish)
    failed = []
    found = evaluate.read_pairs(*folders[1::2], on_failure=failed.append)
    assert [pair.name for pair in found] == ["short.wav", "silent.wav", "toneless.wav"]
    assert sum("whole.wav" in str(error) for error in failed) == 1
    (tmp_path / "noisy" / "whole.wav").unlink()
    with pytest.raises(ValueError, match="damaged.wav"):
        evaluate.read_pairs(*folders[1::2])


def test_a_method_that_fails_on_a_pair_takes_the_pair_from_all(fake_corpus):
    pairs = evaluate.make_test_pairs(snrs_db=(0,), sentences_per_noise=1)

    def mute_in_the_rain(noisy):
        return torch.zeros_like(noisy) if torch.equal(noisy, pairs[0].noisy) else noisy

    failed = []
    methods = {"nothing": do_nothing, "mute": mute_in_the_rain}
    rows = evaluate.score_pairs(pairs, methods, scores=("pesq",), on_failure=failed.append)
    assert len(rows) == 2 * (len(pairs) - 1) and len(failed) == 1
    assert pairs[0].name not in {row["name"] for row in rows} and "mute" in str(failed[0])


def test_a_csv_is_replaced_only_when_told_and_is_nothing_else_than_a_csv(
    checkpoint, tmp_path, capsys
):
    precious = tmp_path / "rows.csv"
    precious.write_text("precious")
    model = checkpoint.read_bytes()
    for path, told in ((precious, "--force"), (checkpoint, ".csv"), (tmp_path, "folder")):
        assert command.main(["--checkpoint", str(checkpoint), "--csv", str(path)]) == 2
        assert told in capsys.readouterr().err
    assert precious.read_text() == "precious" and checkpoint.read_bytes() == model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--noisy", "somewhere"], "belong together"),
        (["--csv", "nowhere/rows.csv"], "folder that exists"),
        (["--checkpoint", "missing.pt"], "missing.pt"),
    ],
)
def test_what_cannot_work_is_one_sentence(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


@pytest.mark.slow
def test_from_the_shell():
    command = [sys.executable, "-m", "course_utils.evaluate", "--checkpoint", "missing.pt"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 2 and "Traceback" not in result.stderr
