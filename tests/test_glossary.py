"""The glossary: one list, one page, and every word where its lesson explains it."""

import re
from pathlib import Path

import nbformat
from glossary import TERMS, Term, as_markdown

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def test_the_page_is_made_from_the_list():
    page = (NOTEBOOKS / "glossary.md").read_text(encoding="utf-8")
    assert page == as_markdown(), "run: python site/glossary.py > notebooks/glossary.md"


def test_the_page_is_in_the_order_of_the_alphabet():
    page = as_markdown((Term("b", 1, "Second."), Term("A", 2, "First.")))
    assert page.index("- **A** (lesson 2): First.") < page.index("- **b** (lesson 1): Second.")


def test_every_word_stands_once_and_is_explained_in_sentences():
    names = [term.name.lower() for term in TERMS]
    assert len(set(names)) == len(names)
    assert all(term.meaning[0].isupper() and term.meaning.endswith(".") for term in TERMS)


def test_its_lesson_shows_every_word_in_bold():
    bold = {}
    for path in NOTEBOOKS.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        words = re.findall(r"\*\*([^*\n]+)\*\*", prose)
        bold[int(path.name[:2])] = {word.lower() for word in words}
    assert [term.name for term in TERMS if term.name.lower() not in bold[term.lesson]] == []


def test_every_lesson_points_to_the_page():
    for path in NOTEBOOKS.glob("*.ipynb"):
        assert "(glossary.md)" in path.read_text(encoding="utf-8"), path.name
