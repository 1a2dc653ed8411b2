"""Explorers: move a slider, and the picture, the numbers and the sound follow.

How they work is in `explorer`; here is what each of them shows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import ipywidgets
import torch
import torchaudio.functional as AF
from matplotlib.colorbar import Colorbar
from matplotlib.image import AxesImage
from torch import Tensor

from course_utils.audio import resample
from course_utils.features import (
    WINDOW_NAMES,
    STFTConfig,
    apply_mask,
    decibels,
    ideal_ratio_mask,
    istft,
    magnitude,
    stft,
)
from course_utils.levels import WORKING_LEVEL
from course_utils.listening import compare_audio
from course_utils.metrics import si_sdr
from course_utils.mixing import fit_noise, mix_at_snr
from course_utils.models import Denoiser
from course_utils.plotting import (
    COLORS,
    MASK_MAP,
    SPECTROGRAM_MAP,
    VMAX,
    VMIN,
    full_scale_reference,
    label_axes,
    outline,
)
from course_utils.widgets.frame import (
    Explorer,
    View,
    empty_picture,
    first_seconds,
    levels_db,
    make_figure,
    set_picture,
    set_spectrogram,
)

# The handler runs when the slider is let go, not at every step on the way; its name is whole.
_CALM = {"continuous_update": False, "style": {"description_width": "initial"}}
_SNR_RANGE = (-10.0, 30.0)
_MAX_SLIP = 320  # samples: 20 ms at 16 kHz
_SCALES = ("dB", "linear", "mel, dB")
_N_MELS = 64


def snr_explorer(clean: Tensor, noise: Tensor, sample_rate: int) -> Explorer:
    """Mix speech and noise at the SNR of a slider; see and hear the mixture.

    Args:
        clean: Speech, shape ``(1, time)``; its first three seconds are used.
        noise: Noise of the same shape.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the control ``snr_db`` from -10 to 30 dB.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ or a clip is empty, silent or not finite.

    Notebook: 01
    """
    config = STFTConfig(sample_rate=sample_rate)
    clean = first_seconds(clean, "clean", sample_rate)
    noise = first_seconds(noise, "noise", sample_rate)
    figure, (wave_axes, picture_axes) = make_figure(2, 1, height=5.0)
    duration = clean.shape[-1] / sample_rate
    lines = {}
    for name in ("noisy", "clean"):  # the clean line lies on top of the noisy one
        times, values = outline(clean[0], sample_rate)
        lines[name] = wave_axes.plot(times, values, color=COLORS[name], lw=0.7, label=name)[0]
    loudest = mix_at_snr(clean, noise, _SNR_RANGE[0]).abs().max()
    limit = 1.1 * float(max(loudest, clean.abs().max()))
    wave_axes.set(xlim=(0, duration), ylim=(-limit, limit))
    legend = wave_axes.legend(loc="upper right", fontsize=10)
    label_axes(wave_axes, "", "", "Amplitude")
    picture = empty_picture(picture_axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    figure.colorbar(picture, ax=picture_axes, label="Level (dB)", pad=0.02)

    def update(snr_db: float) -> View:
        noisy = mix_at_snr(clean, noise, float(snr_db))
        added = noisy - clean
        measured = 10 * math.log10(float(clean.square().mean() / added.square().mean()))
        measured = round(measured, 2) + 0.0  # and never "-0.00"
        lines["noisy"].set_ydata(outline(noisy[0], sample_rate)[1])
        set_spectrogram(picture, noisy, config)
        facts = f"slider: {snr_db:g} dB, measured on this mixture: <b>{measured:.2f} dB</b>"
        return View(facts, compare_audio({"noisy": noisy}, sample_rate, seconds=None).data)

    controls = {
        "snr_db": ipywidgets.FloatSlider(
            value=5.0,
            min=_SNR_RANGE[0],
            max=_SNR_RANGE[1],
            step=1.0,
            description="SNR (dB)",
            **_CALM,
        )
    }
    moving = [*lines.values(), legend, picture]
    return Explorer(controls, figure, moving, update)


def alignment_explorer(noisy: Tensor, clean: Tensor, sample_rate: int) -> Explorer:
    """Let the target slip by some samples; see the score of a perfect output fall, and find it.

    The upper panel shows 20 ms of the perfect output and of the target, the lower one the
    cross-correlation of the *noisy* clip with the target: its peak tells the slip.

    Args:
        noisy: Noisy speech, shape ``(1, time)``; its first three seconds are used.
        clean: The same speech without noise, same shape.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the control ``slip`` from -320 to 320 samples.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, or a clip is shorter than 0.1 s, silent or not finite.

    Notebook: 01
    """
    noisy = first_seconds(noisy, "noisy", sample_rate)
    clean = first_seconds(clean, "clean", sample_rate)
    _check_pair(noisy, clean)
    if clean.shape[-1] < sample_rate / 10:
        raise ValueError(
            f"clean must last at least 0.1 s, got {clean.shape[-1]} samples; take a longer clip."
        )
    middle = slice(_MAX_SLIP, clean.shape[-1] - _MAX_SLIP)
    perfect = clean[:, middle]
    start = int(perfect[0].abs().argmax().clamp(max=perfect.shape[-1] - sample_rate // 50))
    shown = slice(start, start + sample_rate // 50)
    figure, (wave_axes, sum_axes) = make_figure(2, 1, height=4.4)
    milliseconds = torch.arange(sample_rate // 50) * 1000 / sample_rate
    lines = {}
    for name, label in (("estimate", "perfect output"), ("clean", "target")):
        (lines[name],) = wave_axes.plot(
            milliseconds, perfect[0, shown], color=COLORS[name], label=label
        )
    limit = 1.2 * float(perfect[0, shown].abs().max())
    wave_axes.set(ylim=(-limit, limit), xlim=(0, 20))
    legend = wave_axes.legend(loc="upper right", fontsize=10)
    label_axes(wave_axes, "", "Time (ms)", "Amplitude")
    lags = torch.arange(-_MAX_SLIP, _MAX_SLIP + 1)
    (curve,) = sum_axes.plot(lags, torch.zeros(len(lags)), color=COLORS["grey"])
    peak = sum_axes.axvline(0, color=COLORS["other"], linestyle="--")
    sum_axes.set(ylim=(-1.1, 1.1), xlim=(-_MAX_SLIP, _MAX_SLIP))
    label_axes(sum_axes, "", "Lag (samples)", "Sum of products")

    def update(slip: int) -> View:
        target = clean.roll(slip, dims=-1)
        lines["clean"].set_ydata(target[:, middle][0, shown])
        sums = torch.nn.functional.conv1d(target[None], noisy[None, :, middle])[0, 0]
        sums = sums / sums.abs().max()  # (lag,): the sum at every shift of the target
        curve.set_ydata(sums)
        found = int(lags[sums.argmax()])
        peak.set_xdata([found, found])
        score = si_sdr(estimate=perfect, reference=target[:, middle])
        error = float((perfect - target[:, middle]).square().mean())
        facts = (
            f"slip: {slip} samples = {1000 * slip / sample_rate:.1f} ms &middot; the peak is at "
            f"<b>{found}</b> &middot; a perfect output scores SI-SDR <b>{float(score):.1f} dB</b> "
            f"(100 is the most we count), MSE x 1000 <b>{1000 * error:.2f}</b>"
        )
        row = compare_audio({"the target": target}, sample_rate, seconds=None)
        return View(facts, row.data)

    slider = ipywidgets.IntSlider(
        value=16, min=-_MAX_SLIP, max=_MAX_SLIP, description="slip (samples)", **_CALM
    )
    return Explorer({"slip": slider}, figure, [*lines.values(), legend, curve, peak], update)


def sampling_explorer(waveform: Tensor, sample_rate: int) -> Explorer:
    """Keep every second, third, ... sample, with or without a filter before; see what folds.

    Args:
        waveform: Samples, shape ``(1, time)``; the first three seconds are used.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the controls ``keep_every`` (1 to 8) and ``low_pass``.

    Raises:
        TypeError: If ``waveform`` is no floating-point tensor.
        ValueError: If ``waveform`` is empty, not mono or not finite.

    Notebook: 02
    """
    waveform = first_seconds(waveform, "waveform", sample_rate)
    config = STFTConfig(sample_rate=sample_rate)
    figure, axes = make_figure(1, 1, height=3.4)
    duration = waveform.shape[-1] / sample_rate
    picture = empty_picture(axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    figure.colorbar(picture, ax=axes, label="Level (dB)", pad=0.02)
    line = axes.axhline(0, color="white", linestyle="--")

    def update(keep_every: int, low_pass: bool) -> View:
        few = waveform[:, ::keep_every]
        if low_pass and keep_every > 1:
            few = resample(waveform, keep_every, 1)
        # The browser plays at the old rate. A steep filter adds nothing above the new Nyquist.
        heard = AF.resample(few, 1, keep_every, lowpass_filter_width=64)[:, : waveform.shape[-1]]
        set_spectrogram(picture, heard, config)
        nyquist = sample_rate / keep_every / 2
        line.set_ydata([nyquist / 1000] * 2)
        facts = (
            f"{sample_rate / keep_every:,.0f} samples a second &middot; Nyquist frequency "
            f"<b>{nyquist:,.0f} Hz</b> (dashed) &middot; {few.shape[-1]:,} samples instead of "
            f"{waveform.shape[-1]:,}<br>"
        )
        facts += (
            "what lay above the line was <b>removed first</b>"
            if low_pass
            else "what lay above the line has <b>folded down</b> below it"
        )
        row = compare_audio({"what is left": heard}, sample_rate, seconds=None)
        return View(facts, row.data)

    controls = {
        "keep_every": ipywidgets.IntSlider(
            value=4, min=1, max=8, description="keep every", **_CALM
        ),
        "low_pass": ipywidgets.Checkbox(value=False, description="low-pass filter first"),
    }
    return Explorer(controls, figure, [picture, line], update)


def stft_explorer(waveform: Tensor, sample_rate: int) -> Explorer:
    """Look at one clip through windows of different lengths, steps and shapes, on three scales.

    The player rebuilds the clip from what the picture shows: from the complex spectrogram, or,
    on the mel scale, from 64 bands spread over their bins again, with the right phase.

    Args:
        waveform: Samples, shape ``(1, time)``; the first three seconds are used.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the controls ``n_fft``, ``hop_length``, ``win_length``, ``window`` and
        ``scale``.

    Raises:
        TypeError: If ``waveform`` is no floating-point tensor.
        ValueError: If ``waveform`` is empty, not mono or not finite.

    Notebook: 03
    """
    waveform = first_seconds(waveform, "waveform", sample_rate)
    num_samples = waveform.shape[-1]
    figure, axes = make_figure(1, 1, height=3.4)
    start = STFTConfig(sample_rate=sample_rate)
    picture = empty_picture(axes, start, num_samples / sample_rate, SPECTROGRAM_MAP, VMIN, VMAX)
    bar = figure.colorbar(picture, ax=axes, label="Level (dB)", pad=0.02)
    axes.yaxis.set_label_coords(-0.06, 0.5)  # where it stays, however wide the numbers are

    def update(n_fft: int, hop_length: int, win_length: int, window: str, scale: str) -> View:
        config = STFTConfig(sample_rate, n_fft, win_length, hop_length, window)
        triangles = _mel_triangles(config) if scale == "mel, dB" else None
        spectrogram = stft(waveform[0], config)  # (freq, frame)
        numbers = spectrogram.numel()
        shape = f"shape (freq, frame) = <b>{tuple(spectrogram.shape)}</b>"
        contents = f"{numbers:,} complex numbers for {num_samples:,} samples"
        if triangles is not None:
            size = triangles @ magnitude(spectrogram)  # (mel, frame)
            shape = f"shape (mel, frame) = <b>{tuple(size.shape)}</b>"
            contents = f"{size.numel():,} of {numbers:,} numbers are left"
            spread = (torch.linalg.pinv(triangles) @ size).clamp(min=0)
            spectrogram = torch.polar(spread, spectrogram.angle())
            size = size / triangles.sum(dim=1, keepdim=True).clamp(min=1)  # so that levels compare
        else:
            size = magnitude(spectrogram)
        bright = _show_on_scale(picture, bar, size, config, scale)
        inverse = (
            "<b>invertible</b>: the sound can be rebuilt exactly"
            if config.invertible and triangles is None
            else "<b>invertible</b>, but what lay inside a mel band is gone: listen"
            if config.invertible
            else "<b>not invertible</b>: some samples fall into gaps between the windows"
        )
        facts = (
            f"{shape} &middot; {config.hz_per_bin:.1f} Hz per bin &middot; "
            f"{config.ms_per_frame:.1f} ms per frame &middot; window of "
            f"{1000 * win_length / sample_rate:.1f} ms &middot; {contents}<br>{inverse} "
            f"&middot; {bright:.1%} of the picture wears the upper half of the colours"
        )
        if not config.invertible:
            return View(facts)
        rebuilt = istft(spectrogram[None], config, length=num_samples)
        row = compare_audio({"rebuilt from the picture": rebuilt}, sample_rate, seconds=None)
        return View(facts, row.data)

    def steps(name: str, value: int, low: int, high: int) -> ipywidgets.SelectionSlider:
        options = [2**power for power in range(low, high + 1)]
        return ipywidgets.SelectionSlider(options=options, value=value, description=name, **_CALM)

    controls = {
        "n_fft": steps("n_fft", start.n_fft, 6, 12),
        "hop_length": steps("hop_length", start.hop_length, 5, 10),
        "win_length": steps("win_length", start.win_length, 6, 12),
        "window": ipywidgets.Dropdown(
            options=WINDOW_NAMES, value=start.window, description="window"
        ),
        "scale": ipywidgets.Dropdown(options=_SCALES, value="dB", description="scale"),
    }
    return Explorer(controls, figure, [picture, axes.yaxis, bar.ax], update)


def _mel_triangles(config: STFTConfig) -> Tensor:
    """Make the mel filters, (mel, freq), or say that the bins are too wide for them."""
    with warnings.catch_warnings(action="ignore"):  # the sentence below says it better
        triangles = AF.melscale_fbanks(
            config.n_freqs, 0.0, config.sample_rate / 2, _N_MELS, config.sample_rate
        ).T  # (mel, freq)
    empty = int((triangles.amax(dim=1) == 0).sum())
    if empty:
        raise ValueError(
            f"n_fft={config.n_fft} leaves {empty} of {_N_MELS} mel bands without a single bin; "
            "choose a larger n_fft, or another scale."
        )
    return triangles


def _show_on_scale(
    picture: AxesImage, bar: Colorbar, size: Tensor, config: STFTConfig, scale: str
) -> float:
    """Put magnitudes into the picture, in dB or as they are, over Hz or over mel.

    Returns the share of them that lies in the upper half of the colours.
    """
    top, places, axes = config.sample_rate / 2, [0, 500, 1000, 2000, 4000, 8000], picture.axes
    places = [hz for hz in places if hz <= top]
    reference = full_scale_reference(config)
    if scale == "linear":
        values, limits = size / reference, (0.0, float(size.max()) / reference or 1.0)
        bar.set_label("Magnitude (1: a full-scale sine)")
    else:
        values, limits = decibels(size, top_db=120, reference=reference), (VMIN, VMAX)
        bar.set_label("Level (dB)")
    picture.set_clim(*limits)
    set_picture(picture, values, config)
    if scale == "mel, dB":  # the bands are even steps in mel
        left, right, _, _ = picture.get_extent()
        picture.set_extent((left, right, 0, _mel(top)))
        axes.set_yticks([_mel(hz) for hz in places], [f"{hz / 1000:g}" for hz in places])
        axes.set_ylim(0, _mel(top))
    else:
        axes.set_yticks([hz / 1000 for hz in range(0, int(top) + 1, 1000)])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(0, top / 1000)
    return float((values > sum(limits) / 2).float().mean())


def _mel(hz: float) -> float:
    """Convert Hz to mel, as torchaudio's filters do."""
    return 2595 * math.log10(1 + hz / 700)


def mask_explorer(
    noisy: Tensor, clean: Tensor, config: STFTConfig, *, denoiser: Denoiser | None = None
) -> Explorer:
    """Go from no mask at all to a whole mask and beyond; see and hear what is left.

    The mask is ``max(mask ** strength, floor)``: at strength 0 it is 1 everywhere (nothing is
    removed), at 1 it is the mask of the menu, above 1 it bites harder. The floor is the least
    that every bin keeps. The menu has the ideal ratio mask, a threshold (keep the bins in which
    speech is louder than noise), and the mask of a denoiser if there is one.

    Args:
        noisy: Noisy speech, shape ``(1, time)``; the first three seconds are used.
        clean: The same speech without noise, same shape.
        config: The settings of the transform.
        denoiser: Its mask joins the menu; ``config`` must then be its own.

    Returns:
        The explorer, with the controls ``kind``, ``strength`` and ``floor_db``.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, a clip is empty, not mono or not finite, or ``config``
            cannot be inverted.

    Notebook: 04
    """
    noisy = first_seconds(noisy, "noisy", config.sample_rate)
    clean = first_seconds(clean, "clean", config.sample_rate)
    _check_pair(noisy, clean)
    num_samples = noisy.shape[-1]
    spectrogram = stft(noisy, config)  # (1, freq, frame)
    ideal = ideal_ratio_mask(stft(clean, config), stft(noisy - clean, config))
    masks = {"ideal ratio": ideal, "threshold": (ideal > 0.5**0.5).to(ideal.dtype)}
    if denoiser is not None:
        masks["model"] = _mask_of(denoiser, noisy, config)
    figure, (mask_axes, picture_axes) = make_figure(1, 2, height=3.2)
    duration = num_samples / config.sample_rate
    mask_picture = empty_picture(mask_axes, config, duration, MASK_MAP, 0.0, 1.0)
    picture = empty_picture(picture_axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    mask_axes.set_title("mask", fontsize=12)
    picture_axes.set_title("noisy times mask", fontsize=12)
    figure.colorbar(mask_picture, ax=mask_axes, label="Share kept", pad=0.02)
    figure.colorbar(picture, ax=picture_axes, label="Level (dB)", pad=0.02)

    def update(kind: str, strength: float, floor_db: float) -> View:
        mask = (masks[kind] ** strength).clamp(min=10 ** (floor_db / 20))
        masked = apply_mask(spectrogram, mask)
        estimate = istft(masked, config, length=num_samples)
        set_picture(mask_picture, mask[0], config)
        set_picture(picture, levels_db(masked[0], config), config)
        error = float((estimate - clean).square().mean())
        before = float((noisy - clean).square().mean())
        change = 10 * math.log10(before / error) if before > 0 and error > 0 else 0.0
        clips = {"noisy": noisy, "masked": estimate, "clean": clean}
        row = compare_audio(clips, config.sample_rate, removed=("noisy", "masked"), seconds=None)
        facts = (
            f"on average the mask keeps <b>{float(mask.mean()):.0%}</b> of a bin; the error "
            f"against the clean clip changes by <b>{-change:+.1f} dB</b>"
        )
        return View(facts, row.data)

    controls = {
        "kind": ipywidgets.Dropdown(options=list(masks), description="mask"),
        "strength": ipywidgets.FloatSlider(
            value=1.0, min=0.0, max=2.0, step=0.1, description="strength", **_CALM
        ),
        "floor_db": ipywidgets.FloatSlider(
            value=-60.0, min=-60.0, max=0.0, step=3.0, description="floor (dB)", **_CALM
        ),
    }
    return Explorer(controls, figure, [mask_picture, picture], update)


def denoise_explorer(
    clips: Mapping[str, Tensor],
    noises: Mapping[str, Tensor],
    denoiser: Denoiser,
) -> Explorer:
    """Choose a voice, a noise and an SNR; see and hear before, after, and what was removed.

    Args:
        clips: Name to clean speech, each ``(1, time)``; the first three seconds are used.
        noises: Name to noise, each ``(1, time)``, of any length.
        denoiser: What is tried.

    Returns:
        The explorer, with the controls ``clip``, ``noise`` and ``snr_db``.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If there is no clip or no noise, or one of them is silent, empty, not mono or
            not finite.

    Notebook: 06
    """
    if not clips or not noises:
        raise ValueError(
            f"clips and noises must hold one entry each at least, got {len(clips)} and "
            f"{len(noises)}; take some from corpus.select."
        )
    config = denoiser.config
    rate = config.sample_rate
    voices = {name: first_seconds(clip, name, rate) for name, clip in clips.items()}
    longest = max(clip.shape[-1] for clip in voices.values())
    sounds = {
        name: fit_noise(first_seconds(clip, name, rate), longest, generator=_always_the_same())
        for name, clip in noises.items()
    }
    figure, panels = make_figure(1, 3, height=3.0)
    pictures = {}
    for axes, title in zip(panels, ("before", "after", "removed"), strict=True):
        pictures[title] = empty_picture(axes, config, longest / rate, SPECTROGRAM_MAP, VMIN, VMAX)
        axes.set_title(title, fontsize=12)
    for axes in panels[1:]:
        axes.set(ylabel="", yticklabels=[])

    def update(clip: str, noise: str, snr_db: float) -> View:
        clean = voices[clip]
        noisy = mix_at_snr(clean, sounds[noise][:, : clean.shape[-1]], float(snr_db))
        with torch.inference_mode():
            estimate = denoiser(noisy)
        shown = {"before": noisy, "after": estimate, "removed": noisy - estimate}
        for name, picture in pictures.items():
            set_spectrogram(picture, shown[name], config)
            picture.axes.set_xlim(0, longest / rate)
        scores = [float(si_sdr(estimate=x, reference=clean)) for x in (noisy, estimate)]
        row = compare_audio(
            {"noisy": noisy, "estimate": estimate, "clean": clean},
            rate,
            removed=("noisy", "estimate"),
            seconds=None,
        )
        facts = (
            f"SI-SDR <b>{scores[0]:.1f} dB</b> before, <b>{scores[1]:.1f} dB</b> after: "
            f"{scores[1] - scores[0]:+.1f} dB"
        )
        return View(facts, row.data)

    controls = {
        "clip": ipywidgets.Dropdown(options=list(voices), description="voice"),
        "noise": ipywidgets.Dropdown(options=list(sounds), description="noise"),
        "snr_db": ipywidgets.FloatSlider(
            value=5.0, min=-10.0, max=30.0, step=1.0, description="SNR (dB)", **_CALM
        ),
    }
    return Explorer(controls, figure, list(pictures.values()), update)


def _check_pair(noisy: Tensor, clean: Tensor) -> None:
    """Refuse two clips that are no pair."""
    if noisy.shape != clean.shape:
        raise ValueError(
            f"clean must have the shape {tuple(noisy.shape)} of noisy, got {tuple(clean.shape)}; "
            "use the two members of one pair."
        )


def _mask_of(denoiser: Denoiser, noisy: Tensor, config: STFTConfig) -> Tensor:
    """Ask a denoiser for its mask, at the level that it works at."""
    if denoiser.config != config:
        raise ValueError(
            f"config must be the denoiser's own, got {config}; hand over denoiser.config."
        )
    rms = noisy.square().mean().sqrt().clamp(min=1e-10)
    with torch.inference_mode():
        return denoiser.estimate_mask(magnitude(stft(noisy * (WORKING_LEVEL / rms), config)))


def _always_the_same() -> torch.Generator:
    """The same piece of a noise every time, so that only what the learner moved has changed."""
    return torch.Generator().manual_seed(0)
