"""The six lessons as files: their shape, their outputs, their links, and their exercises.

Running them from top to bottom is nbval's work (`make test`); here nothing is run but the
exercises, each once with its stub and once with its solution.
"""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from course_utils.exercises.feedback import Feedback

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = [
    "01_create_paired_audio_data",
    "02_preprocess_waveform_samples",
    "03_extract_spectrogram_features",
    "04_define_the_denoiser_model",
    "05_train_on_noisy_inputs",
    "06_test_model_performance",
]
every_lesson = pytest.mark.parametrize("lesson", LESSONS)


@cache
def read(lesson: str) -> NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)


def cells(lesson: str, kind: str) -> list[NotebookNode]:
    return [cell for cell in read(lesson).cells if cell.cell_type == kind]


def tagged(lesson: str, tag: str) -> list[NotebookNode]:
    return [cell for cell in read(lesson).cells if tag in cell.metadata.get("tags", [])]


def outputs(lesson: str) -> list[NotebookNode]:
    return [output for cell in cells(lesson, "code") for output in cell.outputs]


def prose(lesson: str) -> str:
    return "\n\n".join(cell.source for cell in cells(lesson, "markdown"))


def code(lesson: str) -> str:
    return "\n\n".join(cell.source for cell in cells(lesson, "code"))


# ---- the file ----


def test_there_are_six_lessons_and_nothing_else():
    assert sorted(file.stem for file in NOTEBOOKS.glob("*.ipynb")) == LESSONS


@every_lesson
def test_the_file_is_valid_and_light(lesson):
    file = NOTEBOOKS / f"{lesson}.ipynb"
    assert file.stat().st_size <= 1_500_000
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    assert notebook.nbformat_minor >= 5, "older formats have no cell ids"
    ids = [cell.get("id") for cell in notebook.cells]
    assert all(ids) and len(set(ids)) == len(ids)


@every_lesson
def test_it_was_run_from_top_to_bottom(lesson):
    counts = [cell.execution_count for cell in cells(lesson, "code")]
    assert counts == list(range(1, len(counts) + 1))


@every_lesson
def test_no_output_is_an_error_or_a_warning(lesson):
    assert [output for output in outputs(lesson) if output.output_type == "error"] == []
    assert [output for output in outputs(lesson) if output.get("name") == "stderr"] == []


@every_lesson
def test_no_cell_hides_a_failure(lesson):
    tags = {tag for cell in read(lesson).cells for tag in cell.metadata.get("tags", [])}
    assert not tags & {"raises-exception", "nbval-skip", "nbval-ignore-output", "skip-execution"}
    # An exception inside an Output widget or interact is swallowed, and no runner sees it.
    assert not re.search(r"\bOutput\(|\binteract(ive|_output|_manual)?\(", code(lesson))
    assert not re.search(r"^\s*[!%]|\bpip install\b|allow_errors", code(lesson), re.MULTILINE)


# ---- the shape ----


@every_lesson
def test_it_begins_with_title_time_and_setup(lesson):
    first, *_ = read(lesson).cells
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    assert re.search(r"\bminutes\b", first.source)
    (setup,) = tagged(lesson, "setup")
    assert setup is cells(lesson, "code")[0]
    assert "seed" in setup.source


@every_lesson
def test_nbval_has_outputs_to_compare(lesson):
    def compared(cell: NotebookNode) -> bool:
        marked = "nbval-check-output" in cell.metadata.get("tags", [])
        return (marked or "# NBVAL_CHECK_OUTPUT" in cell.source) and bool(cell.outputs)

    assert any(map(compared, cells(lesson, "code")))


@every_lesson
def test_listening_comes_before_any_formula(lesson):
    for cell in read(lesson).cells:
        if cell.cell_type == "markdown":
            assert "$" not in cell.source, "a formula, and nothing was heard yet"
        elif any("<audio" in str(output.get("data", "")) for output in cell.outputs):
            return
    pytest.fail("no player at all")


@every_lesson
def test_it_ends_with_recap_quiz_and_the_way_on(lesson):
    headings = re.findall(r"^#+ (.+)$", prose(lesson), re.MULTILINE)
    for word in ("recap", "quiz", "references"):
        assert any(word in heading.lower() for heading in headings), f"no heading with {word!r}"
    following = LESSONS[(LESSONS.index(lesson) + 1) % len(LESSONS)]
    assert lesson == LESSONS[-1] or f"({following}.ipynb)" in prose(lesson)


@every_lesson
def test_every_picture_and_player_says_what_it_is(lesson):
    for player in re.findall(r"<audio[^>]*>", str(outputs(lesson))):
        assert "controls" in player and "autoplay" not in player
    for output in outputs(lesson):
        # A figure that ends a cell would otherwise print its address beside the picture.
        assert "<Axes" not in str(output.get("data", {}).get("text/html", ""))
        if "image/png" in output.get("data", {}):
            assert output.metadata["image/png"]["alt"]


@every_lesson
def test_it_redefines_nothing_that_a_helper_owns(lesson):
    helpers = set()
    for file in (ROOT / "course_utils").glob("*.py"):
        helpers |= {
            node.name
            for node in ast.parse(file.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
    own = {
        node.name
        for node in ast.walk(ast.parse(code(lesson)))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert "mix_at_snr" in helpers
    assert own & helpers == set()


# ---- the exercises ----


def exercises(lesson: str) -> list[tuple[str, str, str]]:
    """Source of the stub, of its check, and of the solution that replaces the stub."""
    stubs, checks = tagged(lesson, "exercise"), tagged(lesson, "exercise-check")
    blocks = [
        re.search(r"```python\n(.*?)```", cell.source, re.DOTALL)
        for cell in tagged(lesson, "exercise-solution")
    ]
    assert len(stubs) == len(checks) == len(blocks), "each exercise has a check and a solution"
    assert all(blocks), "a solution holds a fenced block of Python"
    return [
        (stub.source, check.source, block.group(1))
        for stub, check, block in zip(stubs, checks, blocks, strict=True)
    ]


def all_exercises() -> list:
    found = []
    for lesson in LESSONS:
        if (NOTEBOOKS / f"{lesson}.ipynb").exists():
            count = len(tagged(lesson, "exercise"))
            found += [pytest.param(lesson, k, id=f"{lesson[:2]}-{k + 1}") for k in range(count)]
    return found


def run(source: str, names: dict) -> object:
    """Execute a cell as a notebook does, and return the value of its last line."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        body, last = [*body, last], None
    exec(compile(ast.Module(body, type_ignores=[]), "<cell>", "exec"), names)
    if last is not None:
        return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


@every_lesson
def test_every_exercise_has_a_hint_and_a_solution(lesson):
    assert exercises(lesson)
    order = [
        tag
        for cell in read(lesson).cells
        for tag in cell.metadata.get("tags", [])
        if tag in ("exercise", "exercise-check", "exercise-solution")
    ]
    assert order == ["exercise", "exercise-check", "exercise-solution"] * len(exercises(lesson))
    for cell in tagged(lesson, "exercise-solution"):
        assert "<details>" in cell.source and "<summary>" in cell.source, "a solution is folded"
    hints = re.findall(r"<summary>(?:<b>)?Hint", prose(lesson))
    assert len(hints) >= len(exercises(lesson))


@pytest.mark.parametrize(("lesson", "number"), all_exercises())
def test_the_stub_does_not_pass_and_the_solution_does(lesson, number, monkeypatch, tmp_path):
    stub, check, solution = exercises(lesson)[number]
    (setup,) = tagged(lesson, "setup")
    monkeypatch.chdir(NOTEBOOKS)
    verdicts = []
    for answer in (stub, solution):
        names: dict = {"__name__": "__main__"}
        run(setup.source, names)
        run(answer, names)
        verdicts.append(run(check, names))
    assert all(isinstance(verdict, Feedback) for verdict in verdicts), verdicts
    assert not verdicts[0].passed, f"the stub passes: {verdicts[0]}"
    assert verdicts[1].passed, f"the solution fails: {verdicts[1]}"
    assert repr(verdicts[0]).startswith("Not yet: ") and repr(verdicts[1]).startswith("Solved: ")


def test_the_runner_sees_a_failing_cell():
    with pytest.raises(ZeroDivisionError):
        run("x = 1\nx / 0", {})
    assert run("x = 2\nx + 1", {}) == 3
    assert run("x = 2", {}) is None
