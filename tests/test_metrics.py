"""Scores: against torchmetrics, closed forms, invariants, and errors in words."""

import math
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.audio import (
    perceptual_evaluation_speech_quality,
    scale_invariant_signal_distortion_ratio,
    short_time_objective_intelligibility,
    signal_noise_ratio,
)

from course_utils import metrics

RATE = 16_000
LENGTHS = st.integers(2, 3000)
SEEDS = st.integers(0, 2**31 - 1)


def make_pair(seed=0, shape=(8000,), noise_level=0.3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(shape, generator=generator, dtype=torch.float64)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    return (reference + noise_level * noise).to(dtype), reference.to(dtype)


def make_speech(seconds=2.0, seed=0, rate=RATE):
    """Buzz with syllables and pauses: enough of speech for STOI and PESQ to work on."""
    time = torch.arange(int(seconds * rate), dtype=torch.float64) / rate
    pitch = 120 + 15 * torch.sin(2 * math.pi * 0.7 * time)
    phase = 2 * math.pi * torch.cumsum(pitch / rate, dim=0)
    buzz = sum(torch.cos(k * phase) / k for k in range(1, 24))
    syllables = torch.sin(math.pi * 3.1 * time).clamp_min(0) ** 0.5
    generator = torch.Generator().manual_seed(seed)
    breath = 0.05 * torch.randn(len(time), generator=generator, dtype=torch.float64)
    return (0.1 * syllables * (buzz + breath)).float()


def noisy_copy(speech, level=0.03, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return speech + level * torch.randn(speech.shape, generator=generator)


# --- against another library ---------------------------------------------------------------


@given(seed=SEEDS, length=LENGTHS, level=st.floats(0.01, 30))
@settings(max_examples=60, deadline=None)
def test_snr_and_si_sdr_agree_with_torchmetrics(seed, length, level):
    estimate, reference = make_pair(seed, (length,), level, torch.float64)
    ours = metrics.si_sdr(estimate=estimate, reference=reference)
    theirs = scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True)
    assert ours == pytest.approx(float(theirs.clamp(-100, 100)), abs=1e-6)
    assert metrics.snr(estimate=estimate, reference=reference) == pytest.approx(
        float(signal_noise_ratio(estimate, reference)), abs=1e-6
    )


def test_si_sdr_removes_the_mean_which_torchmetrics_does_not_by_default():
    estimate, reference = make_pair()
    shifted = metrics.si_sdr(estimate=estimate + 0.5, reference=reference)
    assert shifted == pytest.approx(
        metrics.si_sdr(estimate=estimate, reference=reference), abs=1e-4
    )
    assert float(scale_invariant_signal_distortion_ratio(estimate + 0.5, reference)) < shifted - 1


@pytest.mark.parametrize("extended", [False, True])
def test_stoi_agrees_with_torchmetrics(extended):
    reference = make_speech()
    estimate = noisy_copy(reference)
    ours = metrics.stoi(estimate=estimate, reference=reference, extended=extended)
    theirs = short_time_objective_intelligibility(estimate, reference, RATE, extended=extended)
    assert ours == pytest.approx(float(theirs), abs=1e-6)
    assert 0.1 < ours < 0.999


@pytest.mark.parametrize(("rate", "mode"), [(16_000, "wb"), (8_000, "nb")])
def test_pesq_agrees_with_torchmetrics(rate, mode):
    reference = make_speech(rate=rate)
    estimate = noisy_copy(reference)
    ours = metrics.pesq(estimate=estimate, reference=reference, sample_rate=rate)
    theirs = perceptual_evaluation_speech_quality(estimate, reference, rate, mode)
    assert ours == pytest.approx(float(theirs), abs=0.02)
    assert 1.02 < ours < 4.5


def test_swapped_arguments_give_what_the_other_library_gives_for_swapped_arguments():
    reference = make_speech()
    estimate = noisy_copy(reference, 0.01)
    swapped = {"estimate": reference, "reference": estimate}
    expected = {
        "snr": signal_noise_ratio(reference, estimate),
        "stoi": short_time_objective_intelligibility(reference, estimate, RATE),
        "pesq": perceptual_evaluation_speech_quality(reference, estimate, RATE, "wb"),
    }
    for name, theirs in expected.items():
        score = getattr(metrics, name)
        assert score(**swapped) == pytest.approx(float(theirs), abs=0.02)
        right = score(estimate=estimate, reference=reference)
        assert abs(right - score(**swapped)) > 0.01, f"{name} cannot tell the order"


# --- closed forms --------------------------------------------------------------------------


@given(seed=SEEDS, length=st.integers(8, 3000), snr_db=st.floats(-60, 60), level=st.floats(-80, 20))
@settings(max_examples=60, deadline=None)
def test_noise_at_right_angles_at_d_db_has_exactly_d_db(seed, length, snr_db, level):
    generator = torch.Generator().manual_seed(seed)
    speech, noise = torch.randn(2, length, generator=generator, dtype=torch.float64)
    speech, noise = speech - speech.mean(), noise - noise.mean()
    noise = noise - (noise @ speech) / (speech @ speech) * speech
    noise = noise * speech.norm() / noise.norm() * 10 ** (-snr_db / 20)
    gain = 10 ** (level / 20)
    pair = {"estimate": gain * (speech + noise), "reference": gain * speech}
    assert metrics.si_sdr(**pair) == pytest.approx(snr_db, abs=1e-6)
    assert metrics.snr(**pair) == pytest.approx(snr_db, abs=1e-6)


def test_a_known_snr_by_hand():
    reference = torch.tensor([3.0, -3.0, 3.0, -3.0])
    assert metrics.snr(estimate=reference + 0.3, reference=reference) == pytest.approx(20, abs=1e-5)
    assert metrics.snr(estimate=reference / 2, reference=reference) == pytest.approx(
        20 * math.log10(2), abs=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_perfect_silent_and_opposite_estimates_stay_finite(dtype):
    reference = make_pair(dtype=dtype)[1]
    assert metrics.si_sdr(estimate=reference.clone(), reference=reference) == 100
    assert metrics.snr(estimate=reference.clone(), reference=reference) == 100
    assert metrics.si_sdr(estimate=torch.zeros_like(reference), reference=reference) == -100
    assert metrics.snr(estimate=torch.zeros_like(reference), reference=reference) == 0
    assert metrics.si_sdr(estimate=-reference, reference=reference) == 100


def test_perfect_estimates_reach_the_top_of_stoi_and_pesq():
    speech = make_speech()
    assert metrics.stoi(estimate=speech.clone(), reference=speech) == pytest.approx(1, abs=1e-6)
    assert metrics.pesq(estimate=speech.clone(), reference=speech) == pytest.approx(4.64, abs=0.01)


# --- invariants ----------------------------------------------------------------------------


@given(
    seed=SEEDS, gain_db=st.floats(-60, 40), dtype=st.sampled_from([torch.float32, torch.float64])
)
@settings(max_examples=40, deadline=None)
def test_si_sdr_ignores_gain_on_either_side_and_the_order(seed, gain_db, dtype):
    estimate, reference = make_pair(seed, (2000,), 0.5, dtype)
    expected = metrics.si_sdr(estimate=estimate, reference=reference)
    gain = 10 ** (gain_db / 20)
    for pair in ((gain * estimate, reference), (estimate, gain * reference), (reference, estimate)):
        assert metrics.si_sdr(estimate=pair[0], reference=pair[1]) == pytest.approx(
            expected, abs=1e-3
        )


def test_snr_notices_the_gain():
    estimate, reference = make_pair()
    assert metrics.snr(estimate=0.5 * estimate, reference=reference) < metrics.snr(
        estimate=estimate, reference=reference
    )


@pytest.mark.parametrize("gain", [1e-3, 30.0])
def test_stoi_and_pesq_ignore_the_gain(gain):
    reference = make_speech()
    estimate = noisy_copy(reference)
    for score, tolerance in ((metrics.stoi, 1e-6), (metrics.pesq, 0.03)):
        expected = score(estimate=estimate, reference=reference)
        scaled = score(estimate=gain * estimate, reference=reference)
        assert scaled == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", ["snr", "si_sdr"])
def test_a_batch_equals_one_by_one_and_keeps_shape_and_dtype(name):
    score = getattr(metrics, name)
    estimate, reference = make_pair(shape=(3, 2, 500), dtype=torch.float64)
    batch = score(estimate=estimate, reference=reference)
    assert batch.shape == (3, 2) and batch.dtype == torch.float64
    for i in range(3):
        for j in range(2):
            single = score(estimate=estimate[i, j], reference=reference[i, j])
            assert isinstance(single, float) and single == pytest.approx(float(batch[i, j]))
    one_mono_clip = score(estimate=estimate[0, :1], reference=reference[0, :1])
    assert isinstance(one_mono_clip, float) and one_mono_clip == pytest.approx(float(batch[0, 0]))
    assert score(estimate=estimate.float(), reference=reference.float()).dtype == torch.float32


def test_more_noise_scores_worse_everywhere():
    reference = make_speech()
    rows = [
        metrics.evaluate_pair(
            noisy=reference, estimate=noisy_copy(reference, level), reference=reference
        )
        for level in (0.003, 0.02, 0.1)
    ]
    for name in metrics.SCORES:
        values = [row[name] for row in rows]
        assert values == sorted(values, reverse=True) and values[0] > values[-1], name


def test_inputs_are_unchanged():
    reference = make_speech()
    estimate = noisy_copy(reference)
    copies = reference.clone(), estimate.clone()
    metrics.evaluate_pair(noisy=estimate, estimate=estimate, reference=reference)
    assert torch.equal(reference, copies[0]) and torch.equal(estimate, copies[1])


# --- evaluate_pair and summarize -----------------------------------------------------------


def test_evaluate_pair_has_input_score_and_improvement():
    reference = make_speech()[None]  # (1, time)
    noisy, estimate = noisy_copy(reference, 0.05), noisy_copy(reference, 0.01)
    row = metrics.evaluate_pair(noisy=noisy, estimate=estimate, reference=reference)
    assert set(row) == {
        key for name in metrics.SCORES for key in (f"input_{name}", name, f"{name}_improvement")
    }
    assert row["input_si_sdr"] == metrics.si_sdr(estimate=noisy, reference=reference)
    extended = metrics.stoi(estimate=estimate, reference=reference, extended=True)
    assert row["estoi"] == pytest.approx(extended)
    assert row["stoi"] != row["estoi"]
    for name in metrics.SCORES:
        assert row[f"{name}_improvement"] == pytest.approx(row[name] - row[f"input_{name}"])
        assert row[f"{name}_improvement"] > 0


def test_evaluate_pair_computes_only_the_scores_asked_for():
    estimate, reference = make_pair(shape=(100,))  # far too short for STOI and PESQ
    row = metrics.evaluate_pair(
        noisy=estimate, estimate=estimate, reference=reference, scores=("si_sdr", "snr")
    )
    assert set(row) == {
        "input_si_sdr", "si_sdr", "si_sdr_improvement", "input_snr", "snr", "snr_improvement"
    }  # fmt: skip


def rows_of(values, **keys):
    return [{"pesq": value, **keys} for value in values]


def test_summarize_groups_in_order_of_appearance_with_exact_means():
    rows = rows_of([1.0, 2.0, 3.0], kind="rain", snr_db=5) + rows_of([4.0], kind="bus", snr_db=0)
    table = metrics.summarize(rows, by=("kind", "snr_db"), scores=("pesq",))
    assert [(line["kind"], line["snr_db"], line["n"], line["pesq"]) for line in table] == [
        ("rain", 5, 3, 2.0),
        ("bus", 0, 1, 4.0),
    ]
    assert table[0]["pesq_low"] < 2.0 < table[0]["pesq_high"]
    assert table[1]["pesq_low"] == table[1]["pesq_high"] == 4.0  # one clip tells nothing of others
    assert metrics.summarize(rows, scores="pesq")[0]["n"] == 4


def test_the_interval_has_the_width_that_statistics_predict():
    values = torch.randn(400, generator=torch.Generator().manual_seed(3)).tolist()
    line = metrics.summarize(rows_of(values), scores="pesq", num_resamples=4000)[0]
    expected = 2 * 1.96 * torch.tensor(values).std().item() / math.sqrt(400)
    assert line["pesq_high"] - line["pesq_low"] == pytest.approx(expected, rel=0.1)
    narrow = metrics.summarize(rows_of(values), scores="pesq", confidence=0.5)[0]
    assert narrow["pesq_high"] - narrow["pesq_low"] < expected / 2


def test_rows_that_share_a_unit_give_a_wider_interval():
    rows = [{"pesq": float(noise), "noise": noise} for noise in range(6) for _ in range(20)]
    alone = metrics.summarize(rows, scores="pesq")[0]
    together = metrics.summarize(rows, scores="pesq", unit="noise")[0]
    width = {k: v["pesq_high"] - v["pesq_low"] for k, v in (("a", alone), ("t", together))}
    assert width["t"] == pytest.approx(width["a"] * math.sqrt(20), rel=0.25)


def test_intervals_repeat_and_follow_the_generator():
    rows = rows_of([1.0, 2.0, 4.0, 8.0, 16.0])
    first = metrics.summarize(rows, scores="pesq")
    assert metrics.summarize(rows, scores="pesq") == first
    two = metrics.summarize([{**row, "m": m} for m in "ab" for row in rows], by="m", scores="pesq")
    assert all(line["pesq_low"] == first[0]["pesq_low"] for line in two)  # whatever the neighbours
    other = metrics.summarize(rows, scores="pesq", generator=torch.Generator().manual_seed(9))
    assert other != first and other[0]["pesq"] == first[0]["pesq"]


# --- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["snr", "si_sdr", "stoi", "pesq"])
def test_each_score_refuses_what_it_cannot_judge(name):
    score = getattr(metrics, name)
    speech = make_speech()
    with pytest.raises(ValueError, match="reference.*silent"):
        score(estimate=speech, reference=torch.zeros_like(speech))
    with pytest.raises(ValueError, match="estimate.*shape"):
        score(estimate=speech[:-1], reference=speech)
    with pytest.raises(ValueError, match="estimate.*shape"):
        score(estimate=speech[None], reference=speech)  # would broadcast in silence
    with pytest.raises(TypeError, match="estimate"):
        score(estimate=(speech * 32767).short(), reference=speech)
    with pytest.raises(TypeError, match="reference.*Tensor"):
        score(estimate=speech, reference=speech.numpy())
    with pytest.raises(ValueError, match="estimate.*finite"):
        score(estimate=torch.full_like(speech, math.nan), reference=speech)
    with pytest.raises(ValueError, match="at least one sample"):
        score(estimate=speech[:0], reference=speech[:0])
    with pytest.raises(TypeError, match="positional"):
        score(speech, speech)


def test_si_sdr_calls_a_constant_reference_silent():
    with pytest.raises(ValueError, match="reference.*silent"):
        metrics.si_sdr(estimate=torch.randn(100), reference=torch.full((100,), 0.3))


def test_one_silent_clip_in_a_batch_is_found():
    estimate, reference = make_pair(shape=(3, 100))
    reference[1] = 0
    with pytest.raises(ValueError, match="reference.*silent"):
        metrics.si_sdr(estimate=estimate, reference=reference)


def test_stoi_wants_enough_speech_and_a_usable_rate():
    speech = make_speech()
    with pytest.raises(ValueError, match="0.30 s"):
        metrics.stoi(estimate=speech[:4800], reference=speech[:4800])
    mostly_silent = torch.zeros(2 * RATE)
    mostly_silent[:4000] = speech[:4000]
    with pytest.raises(ValueError, match="0.4 s"):
        metrics.stoi(estimate=mostly_silent.clone(), reference=mostly_silent)
    with pytest.raises(ValueError, match="sample_rate.*got 4000"):
        metrics.stoi(estimate=speech, reference=speech, sample_rate=4000)
    with pytest.raises(TypeError, match="sample_rate"):
        metrics.stoi(estimate=speech, reference=speech, sample_rate=16000.0)
    with pytest.raises(ValueError, match="mono"):
        metrics.stoi(estimate=speech.expand(2, -1), reference=speech.expand(2, -1))


def test_pesq_refuses_other_rates_lengths_and_silence():
    speech = make_speech()
    with pytest.raises(ValueError, match="sample_rate.*got 44100"):
        metrics.pesq(estimate=speech, reference=speech, sample_rate=44100)
    with pytest.raises(ValueError, match="20.10 s"):
        long = speech.repeat(11)[: int(20.1 * RATE)]
        metrics.pesq(estimate=long, reference=long)
    with pytest.raises(ValueError, match="0.25 s"):
        metrics.pesq(estimate=speech[:4000], reference=speech[:4000])
    with pytest.raises(ValueError, match="estimate.*silent"):
        metrics.pesq(estimate=torch.zeros_like(speech), reference=speech)
    drowned = noisy_copy(speech, 0.05)  # a reference whose voice its voice detector misses
    with pytest.raises(ValueError, match="PESQ"):
        metrics.pesq(estimate=speech, reference=drowned)


def test_pesq_survives_the_longest_clip_with_the_most_utterances():
    """More than 50 bursts make the C code write out of bounds; 20 s must stay below that."""
    time = torch.arange(20 * RATE) / RATE
    bursts = torch.randn(20 * RATE) * ((time % 0.45) < 0.22)
    assert 1 < metrics.pesq(estimate=noisy_copy(bursts, 0.1), reference=bursts) < 4.7


def test_a_long_clip_has_the_mean_pesq_of_its_pieces_and_pauses_do_not_count():
    speech = make_speech()
    noisy = [noisy_copy(speech, level) for level in (0.01, 0.1)]
    gap, end = torch.zeros(20 * RATE - speech.shape[-1]), torch.zeros(19 * RATE)
    reference = torch.cat([speech, gap, speech, end])
    estimate = torch.cat([noisy[0], gap, noisy[1], end])
    third = reference.shape[-1] // 3  # 41 s in pieces of at most 20; in the last one is nothing
    by_hand = [
        metrics.pesq(estimate=estimate[part], reference=reference[part])
        for part in (slice(0, third), slice(third, 2 * third))
    ]
    scores = metrics.score_clip(estimate=estimate, reference=reference, scores=("pesq",))
    assert scores["pesq"] == pytest.approx(sum(by_hand) / 2, abs=1e-3)
    short = metrics.pesq_in_pieces(estimate=noisy[0], reference=speech)
    assert short == metrics.pesq(estimate=noisy[0], reference=speech)


def test_a_long_clip_that_was_muted_is_no_pause():
    speech = make_speech().repeat(1 + 21 * RATE // make_speech().shape[-1])
    muted = speech.clone()
    muted[muted.shape[-1] // 2 :] = 0
    with pytest.raises(ValueError, match="estimate.*silent"):
        metrics.pesq_in_pieces(estimate=muted, reference=speech)
    with pytest.raises(ValueError, match="reference"):
        metrics.pesq_in_pieces(estimate=speech, reference=torch.zeros_like(speech))


def test_evaluate_pair_names_the_wrong_argument():
    speech = make_speech()
    with pytest.raises(ValueError, match="noisy.*shape"):
        metrics.evaluate_pair(noisy=speech[:-1], estimate=speech, reference=speech)
    with pytest.raises(ValueError, match="scores.*got 'mos'"):
        metrics.evaluate_pair(noisy=speech, estimate=speech, reference=speech, scores=("mos",))


def test_summarize_refuses_bad_rows_and_options():
    rows = rows_of([1.0, 2.0], kind="rain")
    with pytest.raises(ValueError, match="rows"):
        metrics.summarize([], scores="pesq")
    with pytest.raises(KeyError, match="snr_db"):
        metrics.summarize(rows, by="snr_db", scores="pesq")
    with pytest.raises(ValueError, match="pesq in row 2.*nan"):
        metrics.summarize(rows + rows_of([math.nan], kind="rain"), scores="pesq")
    with pytest.raises(TypeError, match="pesq in row 2.*None"):
        metrics.summarize(rows + rows_of([None], kind="rain"), scores="pesq")
    with pytest.raises(ValueError, match="confidence.*got 95"):
        metrics.summarize(rows, scores="pesq", confidence=95)
    with pytest.raises(ValueError, match="num_resamples.*got 0"):
        metrics.summarize(rows, scores="pesq", num_resamples=0)
    with pytest.raises(ValueError, match="scores"):
        metrics.summarize(rows, scores=())


def test_without_the_pesq_package_the_other_scores_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    speech = make_speech()
    assert metrics.si_sdr(estimate=speech, reference=speech) == 100.0
    with pytest.raises(ImportError, match="python -m pip install pesq==0.0.4"):
        metrics.pesq(estimate=speech, reference=speech)
