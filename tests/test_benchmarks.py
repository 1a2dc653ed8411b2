"""The benchmark programs: what they compare fits together, and the pages show what was measured."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))

import benchmark_speed  # noqa: E402
import compare_models  # noqa: E402
import designs  # noqa: E402
import judges  # noqa: E402

from course_utils.evaluate.pairs import make_test_pairs  # noqa: E402
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
    second[:, 6000:] = second[:, 6000:].flip(-1)  # another future, at the same level
    with torch.no_grad():
        assert torch.allclose(model(first)[:, :5000], model(second)[:, :5000], atol=1e-5)


def test_multiply_adds_are_those_of_the_layers():
    """Outputs of each layer times what each of them sums up; 62.5 frames a second."""
    bands = 2 * 257 * 128  # gathered and spread
    encoders = 2 * 16 * 32 * (8 * 2) + 32 * 16 * (16 * 4 * 2) + 48 * 8 * (32 * 4)
    memories = 16 * 2 * 3 * 32 * 32 + 2 * 3 * 192 * 192 + 2 * 192 * 8 * 48
    decoders = 96 * 8 * (32 * 4) + 64 * 16 * (16 * 4) + 32 * 32 * 8
    counted = benchmark_speed.multiply_adds_per_second(Denoiser(MaskNet()).eval())
    assert counted == 62.5 * (bands + encoders + memories + decoders)


def test_the_readme_tells_the_speed_of_what_the_program_measures():
    readme = (ROOT / "README.md").read_text()
    start = readme.index(f"| | {' | '.join(benchmark_speed.COLUMNS.values())} |")
    rows = readme[start : readme.index("\n\n", start)].splitlines()[2:]
    names = [row.split(" | ")[0].strip("| ") for row in rows]
    assert names == benchmark_speed.METHODS


def test_mixtures_are_the_same_for_every_run():
    mixtures = compare_models.Mixtures()
    first = [next(iter(mixtures)) for _ in range(2)]
    assert torch.equal(first[0][0], first[1][0]) and len(mixtures.batches) == 1


def test_the_judge_that_was_never_asked_hears_the_difference():
    pair = make_test_pairs(snrs_db=(0,), sentences_per_noise=1, noises_per_kind=1)[0]
    said = {name: judges.dnsmos(getattr(pair, name)) for name in ("clean", "noisy")}
    for opinion in judges.OPINIONS:
        assert 1 <= said["noisy"][opinion] < said["clean"][opinion] <= 5
    loud = judges.dnsmos(4 * pair.clean / pair.clean.abs().max())
    full = judges.dnsmos(pair.clean / pair.clean.abs().max())
    assert loud == full  # brought to full scale, and nothing else


def test_the_page_and_the_lessons_show_the_table_that_was_measured():
    with open(ROOT / "data" / "pretrained" / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    page = (ROOT / "notebooks" / "model_comparison.md").read_text()
    assert {row["design"] for row in rows} == designs.DESIGNS.keys()
    assert {row["loss"] for row in rows} == compare_models.LOSSES.keys()
    for row in rows:
        assert compare_models.markdown(row) in page
    for lesson, column in (
        ("04_define_the_denoiser_model", "design"),
        ("05_train_on_noisy_inputs", "loss"),
    ):
        cells = json.loads((ROOT / "notebooks" / f"{lesson}.ipynb").read_text())["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        shown = [
            row
            for row in rows
            if (
                row["loss"] == compare_models.COURSE_LOSS
                if column == "design"
                else row["design"] == compare_models.COURSE
            )
        ]
        for row in shown:
            scores = (
                f"{float(row['pesq']):.2f} | {float(row['estoi']):.3f} | {float(row['si_sdr']):.1f}"
            )
            assert f"| {row[column]} | {scores} |" in text


def test_the_readme_shows_the_benchmark_that_was_measured():
    with open(ROOT / "data" / "pretrained" / "benchmark.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["by"] == "all"]
    readme = (ROOT / "README.md").read_text().replace("**", "")
    for row in rows:
        cells = [row["method"]]
        for score, places in (("pesq", 2), ("estoi", 3), ("si_sdr", 1)):
            mean, low, high = (float(row[score + end]) for end in ("", "_low", "_high"))
            cells.append(f"{mean:.{places}f} [{low:.{places}f}, {high:.{places}f}]")
        assert f"| {' | '.join(cells)} |" in readme


def test_the_readme_shows_what_the_judge_said_that_was_never_asked():
    with open(ROOT / "data" / "pretrained" / "opinions.csv", newline="") as file:
        said = {row["method"]: float(row["overall"]) for row in csv.DictReader(file)}
    readme = (ROOT / "README.md").read_text().replace("**", "")
    start = readme.index("| | PESQ (1 to 4.6) |")
    shown = readme[start : readme.index("\n\n", start)].splitlines()[2:]
    for line in shown:
        method, *_, opinion, _ = line.strip("| ").split(" | ")
        assert opinion == f"{said.pop(method):.2f}"
    assert said.keys() == {"clean clip"}
    assert f"({said['clean clip']:.2f} for the clean clips)" in readme


def test_lesson_6_tells_what_the_judge_said_that_was_never_asked():
    with open(ROOT / "data" / "pretrained" / "opinions.csv", newline="") as file:
        said = {row["method"]: f"{float(row['overall']):.2f}" for row in csv.DictReader(file)}
    lesson = (ROOT / "notebooks" / "06_test_model_performance.ipynb").read_text()
    ours, theirs, clean = (said[m] for m in ("shipped denoiser", "RNNoise", "clean clip"))
    assert f"RNNoise {theirs} of 5, ours {ours}, and the *clean* clips {clean}:" in lesson


def test_the_shipped_denoiser_leads_the_benchmark_at_every_level_of_noise():
    with open(ROOT / "data" / "pretrained" / "benchmark.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["by"] == "snr_db"]
    shipped = {row["value"]: row for row in rows if row["method"] == "shipped denoiser"}
    assert sorted(map(float, shipped)) == [-5, 0, 5, 10, 15]
    for row in rows:
        if row["method"] == "shipped denoiser":
            continue
        for score in ("pesq", "estoi", "si_sdr"):
            lead = float(shipped[row["value"]][score]) - float(row[score])
            assert lead > 0, row
