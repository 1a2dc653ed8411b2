"""What a lesson shows and lets you touch: explorers with sliders, a training monitor, own sound."""

from course_utils.widgets.listening_test import ListeningTest, binomial_interval
from course_utils.widgets.masks import denoise_explorer, mask_explorer
from course_utils.widgets.monitor import TrainingMonitor
from course_utils.widgets.pairs import alignment_explorer, snr_explorer
from course_utils.widgets.recordings import AudioInput, download_link
from course_utils.widgets.spectrograms import sampling_explorer, stft_explorer

__all__ = [
    "AudioInput",
    "ListeningTest",
    "TrainingMonitor",
    "alignment_explorer",
    "binomial_interval",
    "denoise_explorer",
    "download_link",
    "mask_explorer",
    "sampling_explorer",
    "snr_explorer",
    "stft_explorer",
]
