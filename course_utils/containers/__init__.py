"""What a sound file promises: its container is read, and held against what the file holds.

A recorder that died leaves a header without a length; a copy that broke off leaves a file that is
shorter than its header says; `cat` puts two recordings into one file; a stream has no length at
all. The reading libraries play what they find, half a recording as gladly as a whole one. So the
promise is looked up here before any of them is asked:

* less there than promised: the file was cut short, and is refused;
* more there than promised: it is sound, or slack. Sound is read, with the length put right on the
  way, and what was found is said; slack (tags, zeros, other chunks) is no damage.
"""

from pathlib import Path

from course_utils.containers.boxes import box_survey
from course_utils.containers.chunks import add_chunks, au_survey, chunk_survey, nist_survey
from course_utils.containers.parts import CutShort, Part, PartFile, Source, Survey
from course_utils.containers.streams import (
    add_blocks,
    comment_names,
    flac_survey,
    mp3_survey,
    ogg_survey,
)

__all__ = [
    "CutShort",
    "Part",
    "PartFile",
    "Survey",
    "add_blocks",
    "add_chunks",
    "comment_names",
    "survey",
]

_SURVEYS = (
    *(chunk_survey, au_survey, nist_survey),
    *(flac_survey, ogg_survey, box_survey, mp3_survey),
)


def survey(path: Path) -> Survey:
    """Look at a file's container, whatever its name says.

    Args:
        path: A file that exists and holds something.

    Returns:
        Its parts, and what is to be said of it.

    Raises:
        CutShort: The file holds less than its container promises.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        source = Source(file, size)
        for look in _SURVEYS:
            if found := look(source):
                return found
    return Survey("", (Part(0, size),))
