"""A machine that listens: what a speech recogniser writes down, and how many words are wrong.

Sound is often cleaned for a machine and not for an ear. A recogniser does not care how pleasant a
clip is: it has its own idea of what speech looks like, and a denoiser may take away, or add, just
what it goes by. So this is measured and never assumed.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torchaudio.functional import edit_distance

from course_utils.audio import SAMPLE_RATE
from course_utils.validate import validate_one_channel, validate_waveform

SPOKEN = {
    "privacy-unident": "The party you are trying to reach does not accept unidentified calls.",
    "vm-newpassword": "Please enter your new password followed by the pound key.",
    "vm-next": "Press six to play the next message.",
    "vm-review-nonurgent": "Press four to remove the urgent status of this message.",
    "vm-tempgreeting": "Press one to record your temporary greeting.",
}
"""What the English sentences of the validation split say, by the title of the clip."""

# Spoken alike, or nearly: neither way of writing is an error.
_WRITTEN_OUT = {"you're": "you are", "i'm": "i am", "that's": "that is", "it's": "it is"}


def recognize(waveform: Tensor) -> str:
    """Write down the English words of a clip, as PocketSphinx hears them.

    PocketSphinx is old and small: its model comes inside the package, it runs on one core, and it
    needs no network. A recogniser of today makes far fewer errors and may react otherwise. The
    same clip gives the same words, whatever was recognised before it.

    Args:
        waveform: One clip, (time,) or (1, time), at 16 kHz.

    Returns:
        Words in lower case, separated by spaces; "" if nothing was understood.

    Raises:
        TypeError: Not a float tensor.
        ValueError: Empty, not finite, or more than one clip.
        ImportError: The package pocketsphinx is not installed.

    Source: Huggins-Daines et al., "PocketSphinx: a free, real-time continuous speech recognition
    system for hand-held devices", ICASSP 2006.
    Notebook: 06
    """
    validate_waveform(waveform)
    validate_one_channel(waveform)
    decoder = _decoder()
    samples = waveform.detach().reshape(-1).cpu().clamp(-1, 1)
    decoder.reinit_feat()  # forgets the level and the noise of the clip before
    decoder.start_utt()
    decoder.process_raw((32767 * samples).to(torch.int16).numpy().tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis is not None else ""


def word_errors(*, heard: str, spoken: str) -> int:
    """Count the words that are wrong, missing or too many.

    The smallest number of steps that turn one row of words into the other, where a step changes,
    adds or drops one word (the Levenshtein distance of words). Divided by the number of spoken
    words it is the word error rate, which may pass 100 %.

    Args:
        heard: What a recogniser wrote.
        spoken: What was said, with at least one word.

    Returns:
        The number of errors, 0 for the same words; commas and capitals do not count.

    Raises:
        ValueError: No word was spoken.

    Notebook: 06
    """
    said = split_words(spoken)
    if not said:
        raise ValueError(f"spoken must hold at least one word, got {spoken!r}; write it down.")
    return edit_distance(said, split_words(heard))


def split_words(text: str) -> list[str]:
    """Take a sentence apart into words that can be compared.

    Args:
        text: Any sentence.

    Returns:
        Words in lower case without punctuation; "you're" becomes "you are".

    Notebook: 06
    """
    text = text.lower().replace("’", "'")
    for short, long in _WRITTEN_OUT.items():
        text = re.sub(rf"\b{short}\b", long, text)
    return re.findall(r"[\w']+", text)


@cache
def _decoder() -> Any:
    """Load the recogniser and its English model once."""
    try:
        from pocketsphinx import Decoder  # here, because only lesson 6 listens by machine
    except ImportError as error:
        raise ImportError(
            "recognize needs the package pocketsphinx, which is not installed; run: "
            "python install.py."
        ) from error
    # At most 3000 guesses at a time, in place of 30,000: noise is then no slower than speech.
    return Decoder(samprate=SAMPLE_RATE, maxhmmpf=3000, loglevel="FATAL")
