"""Clean recordings of any length: files, sound that comes piece by piece, and the command."""

from course_utils.denoise.files import denoise_file
from course_utils.denoise.streaming import StreamingDenoiser
from course_utils.denoise.waveform import denoise_waveform

__all__ = ["StreamingDenoiser", "denoise_file", "denoise_waveform"]
