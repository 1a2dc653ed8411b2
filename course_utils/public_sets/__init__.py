"""The large public sets of speech and noise: where they are, how to fetch one, what lies where."""

from course_utils.public_sets.catalogue import CATALOGUE, PublicSet, table
from course_utils.public_sets.layouts import (
    Group,
    Recording,
    demand,
    esc50,
    group_of,
    is_other_microphone,
    librispeech,
    musan,
    voicebank_demand,
)

__all__ = [
    "CATALOGUE",
    "Group",
    "PublicSet",
    "Recording",
    "demand",
    "esc50",
    "group_of",
    "is_other_microphone",
    "librispeech",
    "musan",
    "table",
    "voicebank_demand",
]
