"""The lessons as a learner meets them: JupyterLab, a slider, a player, an exercise.

Needs Chromium. Without one these tests are skipped: conftest.py says how.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest
from lab import (
    ROOT,
    errors,
    finish,
    menu,
    new_page,
    open_notebook,
    run_all,
    serve,
    wait_until_idle,
)
from playwright.sync_api import Locator, Page, expect

NOTEBOOKS = ROOT / "notebooks"
# Lesson: how many sliders its explorers have. Lesson 5 has none and trains for minutes: nbval runs
# it to the end; here its exercises are answered, and its training is stopped.
TRAINING = "05_train_on_noisy_inputs.ipynb"
SLIDERS = {
    "01_create_paired_audio_data.ipynb": 2,
    "02_preprocess_waveform_samples.ipynb": 1,
    "03_extract_spectrogram_features.ipynb": 3,
    "04_define_the_denoiser_model.ipynb": 2,
    "06_test_model_performance.ipynb": 3,
}

# A verdict is a whole sentence.
NOT_YET, SOLVED = re.compile(r"Not yet: \w.+\."), re.compile(r"Solved: \w.+\.")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=SLIDERS)
def lesson(request, browser, lab):
    """A lesson, run from top to bottom in the browser; the tests below share the page."""
    with new_page(browser) as page:
        page.lesson = request.param
        open_notebook(page, lab, page.lesson)
        run_all(page)
        yield page


def picture(explorer: Locator) -> str:
    """Fingerprint of the picture that an explorer shows."""
    return explorer.locator("img.widget-image").evaluate(
        """async image => {
            const bytes = await (await fetch(image.src)).arrayBuffer();
            const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
            return digest.join(" ");
        }"""
    )


def becomes(page: Page, wanted, *, seconds: float) -> bool:
    """Whether `wanted` comes true in the given time."""
    for _ in range(int(10 * seconds)):
        if wanted():
            return True
        page.wait_for_timeout(100)
    return False


def test_nothing_is_red(lesson):
    assert errors(lesson) == []
    assert lesson.faults == []


def explorers(page: Page) -> list[Locator]:
    """Every explorer of the page."""
    return page.locator(".widget-vbox", has=page.locator("img.widget-image")).all()


def handles(page: Page) -> list[tuple[Locator, Locator]]:
    """Every slider of the page, with the explorer that it belongs to."""
    return [
        (box, handle) for box in explorers(page) for handle in box.locator(".noUi-handle").all()
    ]


def shown(explorer: Locator) -> tuple[str, str]:
    """What an explorer shows: its picture and its line of facts."""
    return picture(explorer), " ".join(explorer.locator(".widget-html-content").all_inner_texts())


def moved(page: Page, explorer: Locator, start: tuple[str, str]) -> bool:
    """Whether picture and numbers both change within some seconds."""
    return becomes(
        page, lambda: all(a != b for a, b in zip(shown(explorer), start, strict=True)), seconds=8
    )


def put_back(page: Page, explorer: Locator, slider: Locator, value: float, start) -> None:
    """Step by step to where it began; there everything must look as it did."""
    for _ in range(250):
        here = float(slider.get_attribute("aria-valuenow"))
        if here == value:
            break
        slider.press("ArrowLeft" if here > value else "ArrowRight")
    back = becomes(page, lambda: shown(explorer) == start, seconds=30)
    assert back, f"{explorer.inner_text()[:40]!r}: a slider does not come back"


def test_every_slider_moves_picture_and_numbers_by_keyboard(lesson):
    assert len(handles(lesson)) == SLIDERS[lesson.lesson]
    for explorer, slider in handles(lesson):
        explorer.scroll_into_view_if_needed()
        start, value = shown(explorer), float(slider.get_attribute("aria-valuenow"))
        # A step down, and five up where that is the end of the slider, or cannot be combined.
        for key in ("ArrowLeft", "PageUp", "PageUp"):
            slider.press(key)
            if moved(lesson, explorer, start):
                break
        else:
            pytest.fail(f"{explorer.inner_text()[:40]!r}: a slider moves nothing")
        put_back(lesson, explorer, slider, value, start)
    assert errors(lesson) == []


def test_every_slider_follows_the_mouse_and_only_its_last_place_counts(lesson):
    for explorer, slider in handles(lesson):
        slider.scroll_into_view_if_needed()
        start, value = shown(explorer), float(slider.get_attribute("aria-valuenow"))
        # One way may be the end or lead to what cannot be combined, and a little may be too little.
        for pixels in (-25, 25, -80, 80):
            drag(lesson, explorer, slider, pixels)
            if moved(lesson, explorer, start):
                break
            put_back(lesson, explorer, slider, value, start)
        else:
            pytest.fail(f"{explorer.inner_text()[:40]!r}: the mouse moves nothing")
        put_back(lesson, explorer, slider, value, start)
    assert errors(lesson) == []


def drag(page: Page, explorer: Locator, slider: Locator, pixels: int) -> None:
    """Drag a slider so many pixels to the right; nothing may be computed on the way."""
    box, start = slider.bounding_box(), shown(explorer)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for part in (0.25, 0.5, 0.75, 1.0):
        page.mouse.move(x + part * pixels, y)
    assert shown(explorer) == start
    page.mouse.up()


def test_every_control_has_a_name(lesson):
    for explorer, slider in handles(lesson):
        row = slider.locator("xpath=ancestor::*[contains(@class, 'widget-inline-hbox')][1]")
        assert row.locator(".widget-label").first.inner_text().strip(), explorer.inner_text()[:40]
    unnamed = lesson.locator("audio:not([aria-label])")
    assert unnamed.count() == 0


def players(page: Page) -> list[tuple[int, float]]:
    """How far every player on the page has loaded (2 and more: it can play), and its seconds."""
    return page.locator("audio").evaluate_all(
        """players => Promise.all(players.map(player => new Promise(done => {
            const tell = () => done([player.readyState, player.duration]);
            if (player.readyState >= 2) return tell();
            player.onloadeddata = player.onerror = tell;
            player.load();
            setTimeout(tell, 10000);
        })))"""
    )


def play(page: Page) -> int:
    """Play every player of the page, silently, until each has come on; how many there are."""
    return page.locator("audio").evaluate_all(
        """players => Promise.all(players.map(async player => {
            player.muted = true;
            player.currentTime = 0;
            await player.play();
            while (player.currentTime <= 0.1)
                await new Promise(tell => setTimeout(tell, 20));
            player.pause();
        })).then(all => all.length)"""
    )


def test_every_player_plays(lesson):
    wait_until_idle(lesson)  # an explorer that answers a slider late would take its player away
    lesson.wait_for_timeout(1000)
    assert len(players(lesson)) >= 2
    assert all(ready >= 2 and duration > 0.2 for ready, duration in players(lesson))
    assert play(lesson) == len(players(lesson))
    assert lesson.locator("audio[autoplay]").count() == 0


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda file: file.stem)
def test_the_page_plays_before_anything_was_run(file, fresh_page, lab):
    stored = file.read_text().count("<audio ")
    open_notebook(fresh_page, lab, file.name, folder="as_committed")
    assert len(players(fresh_page)) == stored >= 1
    assert all(ready >= 2 and duration > 0.2 for ready, duration in players(fresh_page))
    assert errors(fresh_page) == []


class WithoutAnswer(ast.NodeTransformer):
    """Turns a solution into a wrong answer: whatever it returned or named becomes None."""

    def visit_Return(self, node):
        return ast.Return(ast.Constant(None))


def wrong(solution: str) -> str:
    tree = ast.parse(solution)
    if not any(isinstance(node, ast.Return) for node in ast.walk(tree)):
        for node in tree.body:
            if isinstance(node, ast.Assign):
                node.value = ast.Constant(None)
        return ast.unparse(ast.fix_missing_locations(tree))
    return ast.unparse(ast.fix_missing_locations(WithoutAnswer().visit(tree)))


def answer(page: Page, stub: int, check: int, text: str) -> Locator:
    """Type an answer over the stub, run it and its check, and return the check's verdict."""
    cells = page.locator(".jp-Notebook .jp-Cell")
    cells.nth(stub).locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    page.keyboard.press("Control+Enter")
    cells.nth(check).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    return cells.nth(check).locator(".jp-OutputArea-output")


def exercises(name: str) -> list[tuple[int, int, str]]:
    """Every exercise of a lesson: places of the stub and of its check, and the folded solution."""
    cells = nbformat.read(NOTEBOOKS / name, as_version=4).cells
    places = [
        [k for k, cell in enumerate(cells) if tag in cell.metadata.get("tags", [])]
        for tag in ("exercise", "exercise-check", "exercise-solution")
    ]
    return [
        (
            stub,
            check,
            re.search(r"```python\n(.*?)```", cells[folded].source, re.DOTALL)[1].rstrip(),
        )
        for stub, check, folded in zip(*places, strict=True)
    ]


def verdicts(page: Page, name: str) -> list[tuple[str, str]]:
    """What each check of a lesson says to a wrong answer, and then to the folded solution."""
    told = []
    for stub, check, solution in exercises(name):
        sentences = []
        for text, begins in ((wrong(solution), "Not yet:"), (solution, "Solved:")):
            verdict = answer(page, stub, check, text)
            expect(verdict).to_contain_text(begins, timeout=20_000)  # until then stands the old one
            sentences.append(verdict.inner_text())
        told.append(tuple(sentences))
    return told


def test_every_exercise_answered_wrongly_and_then_rightly(lesson):
    told = verdicts(lesson, lesson.lesson)
    assert len(told) >= 2
    for refused, accepted in told:
        assert NOT_YET.search(refused) and SOLVED.search(accepted)
    assert errors(lesson) == []


def test_the_exercises_of_lesson_5_without_its_training(fresh_page, lab):
    open_notebook(fresh_page, lab, TRAINING)
    cells = nbformat.read(NOTEBOOKS / TRAINING, as_version=4).cells
    shown = fresh_page.locator(".jp-Notebook .jp-Cell")
    ran = [k for k, cell in enumerate(cells) if "setup" in cell.metadata.get("tags", [])]
    for place in ran:
        shown.nth(place).locator(".cm-content").click()
        fresh_page.keyboard.press("Control+Enter")
        expect(shown.nth(place)).to_contain_text(re.compile(r"\[\d+\]:"), timeout=60_000)
    told = verdicts(fresh_page, TRAINING)
    assert len(told) >= 2
    for refused, accepted in told:
        assert NOT_YET.search(refused) and SOLVED.search(accepted)
    assert errors(fresh_page) == []
    ran += [place for stub, check, _ in exercises(TRAINING) for place in (stub, check)]
    prompts = [cell.locator(".jp-InputPrompt").inner_text() for cell in shown.all()]
    assert {k for k, prompt in enumerate(prompts) if re.search(r"\d|\*", prompt)} == set(ran)


@pytest.mark.parametrize(
    "lesson", ["03_extract_spectrogram_features.ipynb"], indirect=True, scope="module"
)
def test_a_kernel_restarted_in_the_middle_runs_everything_again(lesson):
    started = lesson.locator("audio").count()
    cells = lesson.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(cells.count() // 2).locator(".cm-content").click()
    menu(lesson, "Kernel", "Restart Kernel…")
    lesson.get_by_role("button", name="Confirm Kernel Restart").click()
    wait_until_idle(lesson)
    run_all(lesson)
    assert lesson.locator("audio").count() == started
    assert lesson.faults == []


@pytest.mark.parametrize(
    "lesson", ["03_extract_spectrogram_features.ipynb"], indirect=True, scope="module"
)
def test_a_wrong_combination_shows_a_sentence(lesson):
    explorer = lesson.locator(".widget-vbox", has=lesson.locator("img.widget-image")).first
    hop_length = explorer.locator(".noUi-handle").nth(1)
    sentence = "This combination cannot work"
    for _ in range(12):
        hop_length.press("ArrowRight")
    expect(explorer).to_contain_text(sentence, timeout=10_000)
    assert errors(lesson) == []
    for _ in range(12):
        hop_length.press("ArrowLeft")
    expect(explorer).not_to_contain_text(sentence, timeout=10_000)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_lab_shows_the_whole_course(tmp_path):
    """Lessons link to helpers and data, so the page's folder is the course's, not notebooks/."""
    planned = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "lab"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    jupyter, *arguments = planned.stdout.splitlines()[-1].split()
    assert Path(jupyter).name == "jupyter"
    with serve([sys.executable, "-m", "jupyter", *arguments], tmp_path) as url:
        with urllib.request.urlopen(f"{url}/api/contents", timeout=30) as answer:
            names = {entry["name"] for entry in json.load(answer)["content"]}
    assert {"README.md", "course_utils", "data", "notebooks"} <= names


def test_a_cell_that_fails_ends_the_waiting(fresh_page, lab, lab_folder):
    kernel = {"name": "python3", "display_name": "Python 3"}
    failing = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    failing.cells = [nbformat.v4.new_code_cell(code) for code in ("1 / 0", "'never run'")]
    nbformat.write(failing, lab_folder / "notebooks" / "failing.ipynb")
    open_notebook(fresh_page, lab, "failing.ipynb")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_all(fresh_page, seconds=60)


def test_a_wrong_answer_is_wrong():
    assert wrong("def f(x):\n    return x + 1") == "def f(x):\n    return None"
    assert wrong("import math\nanswer = math.pi") == "import math\nanswer = None"


def test_the_stop_button_ends_the_training_and_the_lesson_goes_on(fresh_page, lab):
    open_notebook(fresh_page, lab, TRAINING)
    menu(fresh_page, "Run", "Run All Cells")
    progress = fresh_page.locator(".widget-html-content", has_text="step")
    expect(progress).to_contain_text(re.compile(r"epoch [2-9], .* left"), timeout=300_000)
    menu(fresh_page, "Kernel", "Interrupt Kernel")
    cell = fresh_page.locator(".jp-CodeCell", has=fresh_page.locator(".widget-hprogress"))
    expect(cell).to_contain_text("The model has its best weights so far", timeout=60_000)
    finish(fresh_page)
    assert errors(fresh_page) == []
    assert all(ready >= 2 for ready, _ in players(fresh_page))
