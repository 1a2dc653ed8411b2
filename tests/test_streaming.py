"""Live: what comes out piece by piece is what the denoiser makes of the whole, only later."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.audio import resample
from course_utils.denoise.stages import StreamingResampler
from course_utils.denoise.streaming import StreamingDenoiser
from course_utils.denoise.waveform import denoise_blocks, measure_level
from course_utils.features import STFTConfig
from course_utils.levels import working_gain
from course_utils.models import Denoiser, MaskNet

RATE = 16_000


def make_denoiser(config=None):
    """A small network that nobody trained; its mask is none of 0, 1 or constant."""
    torch.manual_seed(1)
    config = config or STFTConfig()
    net = MaskNet(config.n_freqs, channels=(4, 4, 4), hidden_size=8)
    return Denoiser(net, config).eval()


DENOISER = make_denoiser()


def recording(seconds=2.0, channels=2):
    generator = torch.Generator().manual_seed(3)
    noisy = 0.1 * torch.randn(channels, round(seconds * RATE), generator=generator)
    noisy[:, RATE // 2 : RATE] *= 5  # speech comes and goes
    return noisy * torch.tensor([[1.0], [0.02]])[:channels]


def level_of(noisy, denoiser=DENOISER):
    return denoiser.measure_level(noisy)


def offline(noisy, denoiser=DENOISER):
    with torch.inference_mode():
        return denoiser(noisy)


def stream(pieces, **options):
    options = {"channels": "separate"} | options  # as offline, where every row is a recording
    live = StreamingDenoiser(options.pop("denoiser", DENOISER), **options)
    return torch.cat([*(live.feed(piece) for piece in pieces), live.flush()], dim=-1)


# --- equal to offline ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 100, 255, 256, 257, 512, 7000, 10**6])
def test_any_pieces_give_what_the_whole_gives(size):
    noisy = recording(0.3 if size == 1 else 2.0)[:, :-13]
    live = stream(noisy.split(size, dim=-1), level=level_of(noisy))
    assert live.shape == noisy.shape
    assert torch.allclose(live, offline(noisy), atol=1e-5)
    assert float((live - noisy).abs().max()) > 0.01, "the mask must matter"


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_pieces_of_changing_length(sizes, seed):
    noisy = torch.randn(1, sum(sizes), generator=torch.Generator().manual_seed(seed))
    if not sum(sizes):
        assert stream(noisy.split(sizes, dim=-1)).numel() == 0
        return
    live = stream(noisy.split(sizes, dim=-1), level=float(level_of(noisy)))
    assert live.shape == noisy.shape and torch.allclose(live, offline(noisy), atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        STFTConfig(hop_length=128),
        STFTConfig(win_length=400, hop_length=160),
        STFTConfig(window="hamming", hop_length=384),
        STFTConfig(n_fft=320, win_length=320, hop_length=160),
    ],
    ids=str,
)
@pytest.mark.parametrize("num_samples", [1, 159, 5000])
def test_any_stft_that_can_be_undone(config, num_samples):
    denoiser, noisy = make_denoiser(config), recording(1.0)[:, :num_samples]
    live = stream(noisy.split(300, dim=-1), denoiser=denoiser, level=level_of(noisy, denoiser))
    assert torch.allclose(live, offline(noisy, denoiser), atol=1e-5)


def test_the_running_level_gives_the_same_for_any_pieces():
    noisy = recording()
    one, other = stream(noisy.split(256, dim=-1)), stream(noisy.split(4999, dim=-1))
    assert torch.allclose(one, other, atol=1e-6)
    assert not torch.allclose(one, offline(noisy), atol=1e-3), "it cannot know what comes"


def test_the_running_level_becomes_the_level_of_steady_sound():
    generator = torch.Generator().manual_seed(0)
    noisy = 0.3 * torch.randn(1, 8 * RATE, generator=generator)
    difference = (stream([noisy]) - offline(noisy))[:, 4 * RATE :]
    assert float(difference.abs().max()) < 0.01 * float(noisy.abs().max())


@pytest.mark.parametrize("gain_db", [-60, -30, 30, 60])
def test_the_level_of_the_input_does_not_matter(gain_db):
    noisy, gain = recording(), 10 ** (gain_db / 20)
    assert torch.allclose(stream([noisy * gain]) / gain, stream([noisy]), atol=1e-5)


def test_a_muted_microphone_tells_nothing_of_the_level():
    """With a network that has no memory, silence before the speech must change nothing at all."""

    class Loudness(torch.nn.Module):
        def forward_block(self, magnitude, state):
            return torch.sigmoid(magnitude), state

    noisy, silence = recording(), torch.zeros(2, 20 * 256)
    denoiser = Denoiser(Loudness()).eval()
    late = stream([silence, noisy], denoiser=denoiser)[:, 20 * 256 :]
    assert torch.allclose(late, stream([noisy], denoiser=denoiser), atol=1e-6)


def test_silence_in_silence_out_and_speech_after_it_is_finite():
    live = StreamingDenoiser(DENOISER)
    assert torch.count_nonzero(live.feed(torch.zeros(1, RATE))) == 0
    assert torch.isfinite(live.feed(recording(channels=1))).all()


def test_the_gain_to_the_working_level_leaves_silence_alone():
    gain = working_gain(torch.tensor([0.0, 1e-12, 0.05, 0.2]))
    assert torch.allclose(gain, torch.tensor([1.0, 1.0, 2.0, 0.5]))


# --- latency and state ---------------------------------------------------------------------


def test_no_sample_waits_longer_than_the_latency_and_one_waits_as_long():
    live, waiting, longest = StreamingDenoiser(DENOISER), 0, 0
    for sample in recording(0.2, channels=1).split(1, dim=-1):
        waiting += 1 - live.feed(sample).shape[-1]
        longest = max(longest, waiting)
    assert longest + 1 == live.latency_samples == 512  # the sample that is let out counts too
    assert live.latency_ms == 32


def test_whole_hops_come_back_as_whole_hops():
    live = StreamingDenoiser(DENOISER)
    lengths = [live.feed(hop).shape[-1] for hop in recording().split(256, dim=-1)[:20]]
    assert lengths == [0] + 19 * [256]


def test_the_past_is_unmoved_by_the_future():
    noisy = recording()
    other = noisy.clone()
    other[:, RATE:] = 7 * noisy[:, RATE:].flip(-1)
    settled = RATE - StreamingDenoiser(DENOISER).latency_samples
    first, second = stream([noisy]), stream([other])
    assert torch.equal(first[:, :settled], second[:, :settled])
    assert not torch.allclose(first[:, settled:], second[:, settled:], atol=1e-3)


def test_reset_and_flush_forget_everything():
    noisy, live = recording(), StreamingDenoiser(DENOISER)
    first = torch.cat([live.feed(noisy), live.flush()], dim=-1)
    again = torch.cat([live.feed(noisy), live.flush()], dim=-1)
    live.feed(noisy.flip(-1))
    live.reset()
    mono = torch.cat([live.feed(noisy[0]), live.flush()], dim=-1)  # other channels than before
    assert torch.equal(first, again)
    assert torch.allclose(mono, stream([noisy])[0], atol=1e-6)


def tensors_within(thing):
    """Every tensor that an object keeps, in its attributes, lists and tuples."""
    if isinstance(thing, torch.Tensor):
        return [thing]
    if isinstance(thing, (list, tuple)):
        return [tensor for part in thing for tensor in tensors_within(part)]
    if type(thing).__module__.startswith("course_utils.denoise"):
        return tensors_within(list(vars(thing).values()))
    return []


def test_the_state_does_not_grow():
    def size(live):
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors_within(live))

    live, sizes = StreamingDenoiser(DENOISER), []
    for piece in recording(8.0).split(256, dim=-1):
        live.feed(piece)
        sizes.append(size(live))
    settled = sizes[250:]  # three seconds of levels are kept
    assert len(set(settled)) == 1
    live.feed(recording(4.0))  # and a large piece leaves nothing of itself
    assert size(live) == settled[0]


def test_dtype_shape_and_input_stay():
    live = StreamingDenoiser(DENOISER)
    noisy = recording().double().reshape(1, 2, -1)
    copy = noisy.clone()
    cleaned = live.feed(noisy)
    assert cleaned.dtype == torch.float64 and cleaned.shape[:2] == (1, 2)
    assert torch.equal(noisy, copy) and not cleaned.is_inference() and not cleaned.requires_grad


def test_a_bad_piece_is_refused_in_words_and_the_stream_goes_on():
    noisy, live = recording(), StreamingDenoiser(DENOISER)
    pieces = [live.feed(noisy[:, :700])]
    with pytest.raises(ValueError, match="samples.*finite"):
        live.feed(noisy[:, 700:] / 0)
    with pytest.raises(ValueError, match=r"\(2,\).*\(1,\)"):
        live.feed(noisy[:1, 700:])
    with pytest.raises(TypeError, match="samples"):
        live.feed(noisy[:, 700:].int())
    with pytest.raises(TypeError, match="samples"):
        live.feed([0.1])
    pieces += [live.feed(noisy[:, 700:]), live.flush()]
    undisturbed = stream([noisy[:, :700], noisy[:, 700:]], channels="together")
    assert torch.equal(torch.cat(pieces, dim=-1), undisturbed)


def test_what_cannot_run_live_is_refused_in_words():
    with pytest.raises(TypeError, match="MaskNet.*function"):
        StreamingDenoiser(lambda noisy: noisy)
    with pytest.raises(TypeError, match="MaskNet.*Identity"):
        StreamingDenoiser(Denoiser(torch.nn.Identity()).eval())
    with pytest.raises(ValueError, match="eval mode"):
        StreamingDenoiser(make_denoiser().train())
    with pytest.raises(ValueError, match="STFT"):
        StreamingDenoiser(make_denoiser(STFTConfig(center=False)))
    for level in (-1.0, float("nan"), torch.tensor([])):
        with pytest.raises(ValueError, match="level"):
            StreamingDenoiser(DENOISER, level=level)
    with pytest.raises(TypeError, match="level"):
        StreamingDenoiser(DENOISER, level="loud")
    with pytest.raises(ValueError, match="2 masks.*3"):
        live = StreamingDenoiser(DENOISER, level=torch.ones(3, 1), channels="separate")
        live.feed(recording())
    with pytest.raises(ValueError, match="channels.*apart"):
        StreamingDenoiser(DENOISER, channels="apart")


@pytest.mark.parametrize("n_channels", [1, 2])
def test_what_a_sound_card_gives_is_not_taken_for_a_thousand_channels(n_channels):
    live = StreamingDenoiser(DENOISER)
    block = 0.1 * torch.randn(1024, n_channels)
    with pytest.raises(ValueError, match=r"\(channel, time\).*\.T"):
        live.feed(block)
    assert live.feed(block.T).shape == (n_channels, 768)  # and the stream can begin


# --- other rates ---------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    rates=st.permutations([8000, 11_025, 16_000, 22_050, 44_100, 48_000]).map(lambda r: r[:2]),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5),
)
def test_resampling_in_pieces_is_resampling_the_whole(rates, sizes):
    whole = torch.randn(2, sum(sizes))
    resampler = StreamingResampler(*rates)
    pieces = [resampler.feed(piece) for piece in whole.split(sizes, dim=-1)]
    pieces = torch.cat([*pieces, resampler.flush()], dim=-1)
    expected = resample(whole, *rates)
    assert pieces.shape == expected.shape and torch.allclose(pieces, expected, atol=1e-6)


def test_a_piece_may_be_reused_by_its_owner():
    whole, resampler = torch.randn(1, 3000), StreamingResampler(44_100, RATE)
    buffer, pieces = torch.empty(1, 100), []
    for piece in whole.split(100, dim=-1):
        buffer.copy_(piece)  # as a sound card does
        pieces.append(resampler.feed(buffer))
    pieces = torch.cat([*pieces, resampler.flush()], dim=-1)
    assert torch.allclose(pieces, resample(whole, 44_100, RATE), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, RATE, 44_100])
def test_the_level_is_the_one_that_the_denoiser_would_measure(rate):
    noisy = recording()
    at_rate = resample(noisy, rate, RATE)
    pieces = noisy.split(999, dim=-1)
    measured = measure_level(pieces, rate, STFTConfig(), channels="separate")
    assert torch.allclose(measured, level_of(at_rate), rtol=1e-5)
    together = measure_level(pieces, rate, STFTConfig())
    assert together.shape == (1, 1)
    assert float(together.square()) == pytest.approx(float(measured.square().sum()), rel=0.01)
    with pytest.raises(ValueError, match="at least one sample"):
        measure_level([], rate, STFTConfig())


@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("rate", [8000, 44_100])
def test_blocks_and_their_noisy_sound_stay_side_by_side(mix, rate):
    noisy = recording()
    level = measure_level([noisy], rate, STFTConfig())
    options = {"level": level, "mix": mix}
    pieces = denoise_blocks(noisy.split(997, dim=-1), rate, DENOISER, **options)
    whole = torch.cat(list(denoise_blocks([noisy], rate, DENOISER, level=level)), dim=-1)
    expected = (1 - mix) * whole + mix * noisy
    assert torch.allclose(torch.cat(list(pieces), dim=-1), expected, atol=1e-5)
