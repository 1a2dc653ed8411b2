"""The benchmark programs: what they compare fits together, and the pages show what was measured."""

import csv
import re
import sys
from pathlib import Path

import nbformat
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

import benchmark_speed  # noqa: E402
import compare_models  # noqa: E402
import designs  # noqa: E402
import judges  # noqa: E402

from course_utils.evaluate.pairs import make_test_pairs  # noqa: E402
from course_utils.features import magnitude, stft  # noqa: E402
from course_utils.models import Denoiser, MaskNet, count_parameters  # noqa: E402


@pytest.mark.parametrize("name", designs.DESIGNS)
def test_every_design_cleans_a_waveform_with_at_most_half_a_million_weights(name):
    model = designs.DESIGNS[name]()
    noisy = 0.1 * torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))
    estimate = model(noisy)
    assert estimate.shape == noisy.shape and torch.isfinite(estimate).all()
    assert count_parameters(model) <= 500_000
    estimate.square().mean().backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert not unused, "part of the network takes no part"


@pytest.mark.parametrize("name", designs.DESIGNS)
def test_no_design_looks_ahead(name):
    model = designs.DESIGNS[name]().eval()
    first = 0.1 * torch.randn(1, 8192, generator=torch.Generator().manual_seed(1))
    second = first.clone()
    second[:, 6000:] = second[:, 6000:].flip(-1)  # another future
    seen = [stft(waveform, model.config) for waveform in (first, second)]
    if name != "all bins, complex mask":
        seen = [magnitude(spectrogram) for spectrogram in seen]
    last = 5000 // model.config.hop_length
    with torch.no_grad():
        masks = [model.net(frames)[..., :last] for frames in seen]
    assert torch.allclose(*masks, atol=1e-5)


def test_multiply_adds_are_those_of_the_layers():
    """Outputs of each layer times what each of them sums up; 62.5 frames a second."""
    bands = 2 * 257 * 128  # gathered and spread
    encoders = 2 * 16 * 32 * (8 * 2) + 32 * 16 * (16 * 4 * 2) + 48 * 8 * (32 * 4)
    memories = 16 * 2 * 3 * 32 * 32 + 2 * 3 * 192 * 192 + 2 * 192 * 8 * 48
    decoders = 96 * 8 * (32 * 4) + 64 * 16 * (16 * 4) + 32 * 32 * 8
    counted = benchmark_speed.multiply_adds_per_second(Denoiser(MaskNet()).eval())
    assert counted == 62.5 * (bands + encoders + memories + decoders)


def test_mixtures_are_the_same_for_every_run():
    mixtures = compare_models.Mixtures()
    first = [next(iter(mixtures)) for _ in range(2)]
    assert torch.equal(first[0][0], first[1][0]) and len(mixtures.batches) == 1


@pytest.mark.slow
def test_the_judge_that_was_never_asked_hears_the_difference():
    pair = make_test_pairs(snrs_db=(0,), sentences_per_noise=1, noises_per_kind=1)[0]
    said = {name: judges.dnsmos(getattr(pair, name)) for name in ("clean", "noisy")}
    for opinion in judges.OPINIONS:
        assert 1 <= said["noisy"][opinion] < said["clean"][opinion] <= 5
    loud = judges.dnsmos(4 * pair.clean / pair.clean.abs().max())
    full = judges.dnsmos(pair.clean / pair.clean.abs().max())
    assert loud == full  # brought to full scale, and nothing else


def measured(file):
    with open(ROOT / "data" / "pretrained" / file, newline="") as handle:
        return list(csv.DictReader(handle))


def line_of(text, name):
    """The row of a table that begins with a name, without bold type."""
    rows = re.findall(r"^\|.*\|$", text.replace("**", ""), re.M)
    (row,) = (row for row in rows if row.split("|")[1].strip() == name)
    return row


def numbers(row):
    return f"{float(row['pesq']):.2f}", f"{float(row['estoi']):.3f}", f"{float(row['si_sdr']):.1f}"


def test_the_page_and_the_lessons_show_the_table_that_was_measured():
    rows = measured("comparison.csv")
    page = (ROOT / "notebooks" / "model_comparison.md").read_text()
    assert {row["design"] for row in rows} == designs.DESIGNS.keys()
    assert {row["loss"] for row in rows} == compare_models.LOSSES.keys()
    assert all(compare_models.markdown(row) in page for row in rows)
    for lesson, shown, same in (
        ("04_define_the_denoiser_model", "design", ("loss", compare_models.COURSE_LOSS)),
        ("05_train_on_noisy_inputs", "loss", ("design", compare_models.COURSE)),
    ):
        cells = nbformat.read(ROOT / "notebooks" / f"{lesson}.ipynb", as_version=4).cells
        text = "\n".join(cell.source for cell in cells)
        for row in rows:
            if row[same[0]] == same[1]:
                assert all(number in line_of(text, row[shown]) for number in numbers(row))


def test_the_readme_shows_the_scores_that_were_measured():
    """With their intervals, and with what the judge said that no loss ever asked."""
    readme = (ROOT / "README.md").read_text()
    scores = readme[readme.index("| | PESQ") :].partition("\n\n")[0]
    opinions = {row["method"]: f"{float(row['overall']):.2f}" for row in measured("opinions.csv")}
    for row in measured("benchmark.csv"):
        if row["by"] == "all":
            line = line_of(scores, row["method"])
            assert opinions[row["method"]] in line
            for score, places in (("pesq", 2), ("estoi", 3), ("si_sdr", 1)):
                mean, low, high = (
                    f"{float(row[score + end]):.{places}f}" for end in ("", "_low", "_high")
                )
                assert f"{mean} [{low}, {high}]" in line


def test_the_shipped_denoiser_leads_the_benchmark_at_every_level_of_noise():
    rows = [row for row in measured("benchmark.csv") if row["by"] == "snr_db"]
    shipped = {row["value"]: row for row in rows if row["method"] == "shipped denoiser"}
    assert sorted(map(float, shipped)) == [-5, 0, 5, 10, 15]
    for row in rows:
        if row["method"] == "shipped denoiser":
            continue
        for score in ("pesq", "estoi", "si_sdr"):
            lead = float(shipped[row["value"]][score]) - float(row[score])
            assert lead > 0, row
