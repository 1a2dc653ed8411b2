"""The promises of the repository as a whole: layout, imports, pins, tables, docstrings."""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "course_utils"

# What draws, plays or is touched; everything else is arithmetic and files.
MAY_SHOW = {"plotting", "listening", "widgets", "exercises"}
SHOWING = {"matplotlib", "IPython", "ipywidgets", "anywidget", "PIL"}
# The name to import, where it is not the name to install.
IMPORTED_AS = {"ipython": "IPython", "pillow": "PIL", "websocket-client": "websocket"}
RUN_NOT_IMPORTED = {"pytest-xdist", "jupyterlab", "nbval", "ruff", "mypy", "uv", "onnxscript"}
# What builds PESQ and the course itself.
BUILDING = {"cython", "setuptools"}
# Part of the promise to the learner; the tests compare with it, the lessons need not.
PROMISED = {"librosa"}
# A lesson runs it where it is installed, and says in a sentence where it is not.
WHERE_INSTALLED = {"onnxruntime"}


def table_of_modules() -> list[str]:
    """The modules in the order of README's table: each imports only what stands above it."""
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| \[`(\w+)`\]\(course_utils/(\w+)(?:\.py|/)?\)", text, re.M)
    assert all(shown == linked for shown, linked in rows)
    return [shown for shown, _ in rows]


def module_of(file: Path) -> str:
    """The module's name in README's table: a folder counts as one."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def package_files() -> list[Path]:
    """Every module; not the copies that JupyterLab keeps of a file that was opened in it."""
    files = (f for f in PACKAGE.rglob("*.py") if f.parent.name != ".ipynb_checkpoints")
    return sorted(f for f in files if f != PACKAGE / "__init__.py")


@cache
def imports(code: str) -> set[str]:
    """Every module that the code imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import: write course_utils in full"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def third_party(code: str) -> set[str]:
    tops = {name.split(".")[0] for name in imports(code)}
    return tops - set(sys.stdlib_module_names) - {"course_utils", "__future__"}


def notebook_code(file: Path) -> str:
    cells = nbformat.read(file, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def pins(file: str) -> dict[str, str]:
    """Package and version of each line; anything but an exact pin fails here."""
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        requirement, _, comment = line.partition("#")
        if requirement.strip():
            pin = re.fullmatch(r"([a-z0-9_-]+)==([\w.]+)( ; .+)?", requirement.strip())
            assert pin, f"{file}: {line!r} is no exact pin"
            assert comment.strip(), f"{file}: {line!r} does not say what it is for"
            found[pin.group(1)] = pin.group(2)
    return found


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines() if (ROOT / name).is_file()]


# ---- layout ----


def test_a_clone_stays_small():
    files = tracked_files()
    assert sum(f.stat().st_size for f in files) < 60e6
    assert sum(f.stat().st_size for f in files if ROOT / "data" in f.parents) < 45e6


def test_no_file_names_the_machine_it_was_made_on():
    machine = re.compile(r"(?<![\w.])/(work|root|home|Users|tmp/\w+)/|[A-Z]:\\+Users")
    text = {".py", ".md", ".toml", ".txt", ".ipynb", ".csv", ".json", ".cfg", ".lock", ".yml", ""}
    found = [
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in tracked_files()
        if file.suffix in text
        and (match := machine.search(file.read_text(encoding="utf-8", errors="ignore")))
    ]
    assert not found


def test_licences_say_which_is_for_what():
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "Attribution 4.0 International" in (ROOT / "notebooks" / "LICENSE").read_text()
    readme = (ROOT / "README.md").read_text()
    for link in ("(LICENSE)", "(notebooks/LICENSE)", "(data/README.md)"):
        assert link in readme


# ---- imports ----


def test_every_module_has_its_place():
    listed = table_of_modules()
    assert len(set(listed)) == len(listed)
    assert {module_of(file) for file in package_files()} == set(listed)


@pytest.mark.parametrize("file", package_files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_one_way(file):
    """A module imports only what stands before it, so that a reader can start at the top."""
    order, own = table_of_modules(), module_of(file)
    for name in imports(file.read_text()):
        parts = name.split(".")
        if parts[0] != "course_utils" or len(parts) == 1 or parts[1] not in order:
            continue
        if parts[1] == own and file.parent != PACKAGE:
            continue  # inside a folder
        assert order.index(parts[1]) < order.index(own), f"{own} imports {parts[1]}"


@pytest.mark.parametrize("file", package_files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_arithmetic_draws_and_plays_nothing(file):
    if module_of(file) not in MAY_SHOW:
        assert not third_party(file.read_text()) & SHOWING


def test_the_import_checks_can_fail():
    assert "course_utils.mixing" in imports("from course_utils.mixing import mix_at_snr")
    assert "course_utils.mixing" in imports("def f():\n    from course_utils import mixing")
    assert third_party("import os, torch\nfrom PIL import Image") == {"torch", "PIL"}


# ---- requirements ----


def test_requirements_are_pinned_and_used():
    used = set()
    for file in package_files():
        used |= third_party(file.read_text())
    for file in (ROOT / "notebooks").glob("*.ipynb"):
        used |= third_party(notebook_code(file))
    pinned = {IMPORTED_AS.get(name, name) for name in pins("requirements.txt")}
    assert used - pinned - WHERE_INSTALLED == set(), "imported, but not in requirements.txt"
    unused = pinned - used - RUN_NOT_IMPORTED - PROMISED - BUILDING
    assert unused == set(), "in requirements.txt, but never imported"


def test_test_requirements_are_pinned_and_used():
    files = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "data").glob("*.py"), *ROOT.glob("*.py")]
    used = set().union(*(third_party(file.read_text()) for file in files))
    used -= {file.stem for file in files}  # a test may import a neighbour
    used -= {"glossary"}  # in site/
    learner, tester = pins("requirements.txt"), pins("tests/requirements.txt")
    assert not set(learner) & set(tester), "one package, one place"
    names = {IMPORTED_AS.get(name, name) for name in (*learner, *tester)}
    peers = ROOT / "tests" / "benchmarks" / "requirements.txt"
    if peers.exists():
        names |= {name.replace("-", "_") for name in pins("tests/benchmarks/requirements.txt")}
    assert used - names == set(), "imported by a test, but pinned nowhere"
    imported = {IMPORTED_AS.get(name, name) for name in tester}
    assert imported - used - RUN_NOT_IMPORTED == set(), "pinned, but never imported"


# ---- README ----


def test_the_table_of_lessons_lists_the_notebooks():
    rows = re.findall(
        r"^\| \d \| \[.+?\]\(notebooks/(\w+\.ipynb)\) \| (.+?\?) \| (\d+) \|$",
        (ROOT / "README.md").read_text(),
        re.MULTILINE,
    )
    assert [name for name, _, _ in rows] == sorted(f.name for f in ROOT.glob("notebooks/*.ipynb"))
    assert len(rows) == 6
    for name, question, minutes in rows:
        first = nbformat.read(ROOT / "notebooks" / name, as_version=4).cells[0].source
        assert question in first, f"{name} asks another question"
        assert f"{minutes} minutes" in first, f"{name} takes another time"


def test_the_makefile_knows_every_command_of_the_readme():
    named = set(
        re.findall(r"\bmake ([a-z]+)\b", "\n".join(code_of((ROOT / "README.md").read_text())))
    )
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {"lab", "test"} <= named <= set(targets)


def code_of(text: str) -> list[str]:
    """Blocks and spans of code in a page of Markdown."""
    return re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)


def test_the_workflow_runs_the_readmes_commands():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    commands = re.findall(r"^ +- run: (.+)$", workflow, re.M)
    assert {"make test", "make check"} < set(commands)
    readme = (ROOT / "README.md").read_text()
    assert [command for command in commands if command not in readme] == []


# ---- docstrings ----


def undocumented(function: ast.FunctionDef) -> list[str]:
    """The arguments that its docstring leaves out, and "Returns" if that is missing."""
    doc = inspect.cleandoc(ast.get_docstring(function) or "")
    described = doc.partition("\nArgs:\n")[2]
    arguments = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
    missing = [a for a in arguments if not re.search(rf"^\s+{a}\b", described, re.M)]
    returns = function.returns
    nothing = isinstance(returns, ast.Constant) and returns.value is None
    if not nothing and not re.search(r"^(Returns|Yields):$", doc, re.M):
        missing.append("Returns")
    return missing


def test_docstrings_tell_what_goes_in_and_comes_out():
    missing = {
        f"{file.relative_to(PACKAGE)}: {node.name}": undocumented(node)
        for file in package_files()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert {name: what for name, what in missing.items() if what} == {}
