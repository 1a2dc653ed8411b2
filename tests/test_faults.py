"""The short form of tools/faults.py: a few tries of every fault, and all of them survived."""

import os
import random

import pytest

if os.name == "nt":
    pytest.skip("Windows has neither fork nor a limit on files", allow_module_level=True)

import faults  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_every_try_survives(fault, tmp_path):
    assert fault(tmp_path, 10, random.Random(1)) == 10


def test_a_fault_that_is_not_survived_is_counted(tmp_path, monkeypatch):
    """The program must be able to say no: a writer that leaves half a file is found."""

    def careless(path, content):
        with path.open("wb") as file:  # what was there is gone before the disk is full
            file.write(content.encode())

    monkeypatch.setattr(faults, "write_whole", careless)
    assert faults.full_disks(tmp_path, 40, random.Random(1)) < 40
