"""The website: what it is built with, and that its checker sees what is wrong.

The site itself is built and looked over by `make site`.
"""

import json
import re
import sys

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_repository import ROOT, pins

sys.path.insert(0, str(ROOT / "tests" / "tools"))
import check_site


def test_what_builds_the_site_is_pinned_and_apart_from_the_learners_packages():
    builder = pins("site/requirements.txt")
    assert {"sphinx", "myst-nb"} <= set(builder)
    assert not set(builder) & set(pins("requirements.txt") | pins("tests/requirements.txt"))


def test_the_site_runs_no_notebook_and_holds_every_page():
    settings = (ROOT / "site" / "conf.py").read_text()
    assert re.search(r'^nb_execution_mode = "off"$', settings, re.MULTILINE)
    named = set(re.findall(r'"(notebooks/\w+|data/README)"', settings))
    beside = {f"notebooks/{file.stem}" for file in (ROOT / "notebooks").glob("*.md")}
    assert named == beside | {"data/README"}


def write(folder, name: str, html: str) -> None:
    (folder / name).write_text(f"<html><body>{html}</body></html>", encoding="utf-8")


def test_broken_links_and_foreign_scripts_are_seen(tmp_path):
    write(
        tmp_path,
        "a.html",
        '<h1 id="top">A</h1><a href="b.html#here">good</a><a href="#top">good</a>'
        '<a href="https://pytorch.org">good</a><audio src="data:audio/flac;base64,AA"></audio>'
        '<a href="b.html#gone">bad</a><a href="c.html">bad</a><img src="c.png" alt="bad">'
        '<script src="https://cdn.example/x.js"></script>',
    )
    write(tmp_path, "b.html", '<p id="here">B</p>')
    assert check_site.broken_links(check_site.read_site(tmp_path)) == [
        "a.html: b.html#gone names no place on that page",
        "a.html: c.html leads nowhere",
        "a.html: c.png leads nowhere",
        "a.html: loads https://cdn.example/x.js from elsewhere",
    ]


def notebook() -> nbformat.NotebookNode:
    """A lesson with a fold, a player, a figure and a widget."""
    bundles = [
        {"text/html": '<audio controls src="data:,"></audio>', "text/plain": "a player"},
        {"image/png": "", "text/plain": "a figure"},
        {check_site.WIDGET: {"model_id": "0"}, "text/plain": "sliders appear here"},
    ]
    code = [new_code_cell(outputs=[new_output("display_data", data=data)]) for data in bundles]
    code[1].outputs[0].metadata["image/png"] = {"alt": "two curves"}
    return new_notebook(cells=[new_markdown_cell("<details>\n</details>"), *code])


def test_lost_outputs_are_seen(tmp_path):
    picture = '<img src="a" alt="two curves">'
    whole = f"<details></details><audio></audio>{picture}<pre>sliders appear here</pre>"
    write(tmp_path, "whole.html", whole)
    write(tmp_path, "empty.html", "")
    assert check_site.lost_outputs(notebook(), check_site.Page(tmp_path / "whole.html")) == []
    assert check_site.lost_outputs(notebook(), check_site.Page(tmp_path / "empty.html")) == [
        "0 players instead of 1",
        "0 pictures instead of 1",
        "0 folds instead of 1",
        "no picture is described as 'two curves'",
        "no 'sliders appear here' in a widget's place",
    ]


def test_a_page_that_the_search_does_not_know_is_seen(tmp_path):
    index = {"docnames": ["a", "b"], "titleterms": {"nois": 0}, "terms": {"model": [0, 1]}}
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    index = check_site.read_index(tmp_path / "searchindex.js")
    assert check_site.found_by_search(index, "b", "4 · Define the model")
    assert not check_site.found_by_search(index, "b", "5 Train on noise")


def test_a_module_without_its_place_on_the_api_page_is_seen(tmp_path):
    for name in ("audio.py", "train/run.py", "train/__main__.py"):
        file = tmp_path / "package" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    write(tmp_path, "api.html", '<section id="module-package.audio"></section>')
    page = check_site.Page(tmp_path / "api.html")
    assert check_site.missing_modules(tmp_path / "package", page) == [
        "package.train.run is not on the API page"
    ]
