"""Commands print any name on any console, and a stop leaves nothing half-written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils import commands

posix = pytest.mark.skipif(os.name == "nt", reason="Windows knows no such signal")

WRITER = """
import sys, time
from course_utils.commands import command_line
from course_utils.files import written_whole
with command_line(), written_whole(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_that_ends_a_command_leaves_nothing(tmp_path, name):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.txt")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(getattr(signal, name))
        running.communicate(timeout=60)
    if name != "SIGINT":
        assert running.returncode == 128 + getattr(signal, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_any_name_can_be_printed_on_any_console(encoding):
    program = (
        "from course_utils.commands import command_line\n"
        "with command_line(): print('\\u4f1a\\u8b70 \\udcff.wav')"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    root = Path(commands.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=root, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"\\udcff.wav" in done.stdout
