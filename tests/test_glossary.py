"""The glossary: one list, one page, and every word where its lesson explains it."""

import re
from pathlib import Path

import nbformat
import pytest
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


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_its_lesson_shows_the_word_in_bold(term):
    (path,) = NOTEBOOKS.glob(f"{term.lesson:02d}_*.ipynb")
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    bold = {word.lower() for word in re.findall(r"\*\*([^*\n]+)\*\*", prose)}
    assert term.name.lower() in bold


def test_every_lesson_points_to_the_page():
    for path in NOTEBOOKS.glob("*.ipynb"):
        assert "(glossary.md)" in path.read_text(encoding="utf-8"), path.name
