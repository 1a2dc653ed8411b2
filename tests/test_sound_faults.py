"""The short form of tests/tools/try_sound_faults.py: kills, full disks, mutated files and races."""

import os
import sys

import pytest
from test_repository import ROOT

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import try_sound_faults

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals and limits")


@pytest.mark.parametrize("tries", [60])
def test_mutated_files_are_read_or_refused(tmp_path, tries):
    assert try_sound_faults.mutated_files(tries, tmp_path) == tries


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "tries"),
    [(try_sound_faults.full_disks, 40), (try_sound_faults.kills, 6), (try_sound_faults.races, 1)],
)
def test_nothing_is_lost_or_left_half_done(tmp_path, fault, tries):
    assert fault(tries, tmp_path) == tries
