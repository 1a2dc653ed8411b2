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


@pytest.fixture(scope="module")
def said() -> str:
    """What nbval says about the three notebooks, run one after the other by one command."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--noconftest", "-rA"]
    result = subprocess.run(
        [*command, *nbval_options(), str(CANARY)], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1, result.stdout
    return re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)  # without colours


def verdicts(said: str, name: str) -> list[str]:
    """How each cell of a notebook ended, in the summary's order: passed cells first."""
    return re.findall(rf"^(PASSED|FAILED|ERROR) \S*{name}::", said, flags=re.MULTILINE)


def test_the_options_do_run_notebooks():
    assert "--nbval-lax" in nbval_options()
    assert not any("allow" in option for option in nbval_options())


@pytest.mark.slow
def test_a_healthy_notebook_passes(said):
    assert verdicts(said, "healthy.ipynb") == ["PASSED", "PASSED"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("exception.ipynb", "RuntimeError: the canary sings"),
        ("drifted_output.ipynb", r"disagrees with reference outputs|mismatch '?stdout'?"),
    ],
)
def test_a_broken_notebook_fails_for_its_reason(said, name, reason):
    assert verdicts(said, name) == ["PASSED", "FAILED"]
    assert re.search(reason, said), said
