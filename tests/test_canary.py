"""A checker that cannot fail is worthless: these notebooks, run as `make test` does, must fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CANARY = ROOT / "tests" / "canary"


def nbval_options() -> list[str]:
    """The very options with which the Makefile runs the six lessons."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    return re.search(r"^NBVAL := (.*)$", makefile, flags=re.MULTILINE).group(1).split()


def run_nbval(name: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--noconftest",
        *nbval_options(),
    ]
    result = subprocess.run(
        [*command, str(CANARY / name)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    result.stdout = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)  # colours
    return result


def test_the_options_do_run_notebooks():
    assert "--nbval-lax" in nbval_options()
    assert not any("allow" in option for option in nbval_options())


def test_a_healthy_notebook_passes():
    result = run_nbval("healthy.ipynb")
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("exception.ipynb", "RuntimeError: the canary sings"),
        ("drifted_output.ipynb", r"disagrees with reference outputs|mismatch '?stdout'?"),
    ],
)
def test_a_broken_notebook_fails_for_its_reason(name, reason):
    result = run_nbval(name)
    assert result.returncode == 1, result.stdout
    assert "1 failed, 1 passed" in result.stdout
    assert re.search(reason, result.stdout), result.stdout
