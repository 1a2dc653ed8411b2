"""The large public sets of speech and noise: where they are, how to fetch one, what lies where."""

from course_utils.public_sets.catalogue import CATALOGUE, PublicSet, table
from course_utils.public_sets.layouts import (
    Recording,
    demand,
    esc50,
    librispeech,
    musan,
    voicebank_demand,
)

__all__ = [
    "CATALOGUE",
    "PublicSet",
    "Recording",
    "demand",
    "esc50",
    "librispeech",
    "musan",
    "table",
    "voicebank_demand",
]
