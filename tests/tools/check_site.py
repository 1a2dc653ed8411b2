"""Look over the built website: `make site` ends with this.

    python tests/tools/check_site.py build/site

Every link and picture must lead to a file (and its #anchor to an element) of the site, nothing may
be fetched from elsewhere, and each lesson must have the players, figures (with their descriptions)
and sentences that its notebook has, and be found by the search. The API page must have every
module.
"""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"


class Page(HTMLParser):
    """What one HTML file holds: links, what it loads, ids, pictures, players, folds, text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links, self.loads, self.ids = [], [], set()
        self.pictures, self.players, self.folds, self.text = [], 0, 0, ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon"):
            self.loads.append(found["href"])
        elif found.get("src"):
            self.loads.append(found["src"])
        if tag == "img":
            self.pictures.append(found)
        self.players += tag == "audio"
        self.folds += tag == "details"

    def handle_data(self, data: str) -> None:
        self.text += data


def read_site(folder: Path) -> dict[Path, Page]:
    """Every page of the site."""
    return {file: Page(file) for file in sorted(folder.resolve().rglob("*.html"))}


def broken_links(pages: dict[Path, Page]) -> list[str]:
    """Links and sources without a target, and whatever would be loaded from another place."""
    found = []
    for file, page in pages.items():
        for link in {*page.links, *page.loads}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    found.append(f"{file.name}: loads {link} from elsewhere")
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                found.append(f"{file.name}: {link} leads nowhere")
            elif parts.fragment and target in pages:
                if unquote(parts.fragment) not in pages[target].ids:
                    found.append(f"{file.name}: {link} names no place on that page")
    return sorted(found)


def lost_outputs(notebook: nbformat.NotebookNode, page: Page) -> list[str]:
    """Players, pictures, folds and sentences that the notebook has and the page has not."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [output for cell in code for output in cell.outputs if "data" in output]
    bundles = [output.data for output in shown]
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    figures = sum("image/png" in bundle for bundle in bundles)
    counts = {
        "players": (page.players, str(bundles).count("<audio ")),
        "pictures": (
            len(page.pictures),
            figures + str(bundles).count("<img src=") + len(re.findall(r"!\[|<img ", prose)),
        ),
        "folds": (page.folds, prose.count("<details>")),
    }
    found = [f"{n} {what} instead of {due}" for what, (n, due) in counts.items() if n != due]
    words = [output.metadata.get("image/png", {}).get("alt") for output in shown]
    seen = {picture.get("alt") for picture in page.pictures}
    found += [f"no picture is described as {alt!r}" for alt in words if alt and alt not in seen]
    sentences = [bundle["text/plain"] for bundle in bundles if WIDGET in bundle]
    return found + [
        f"no {text!r} in a widget's place" for text in sentences if text not in page.text
    ]


def found_by_search(index: dict, name: str, title: str) -> bool:
    """Whether a word of its title leads the search to a page (words are kept without endings)."""
    number = index["docnames"].index(name)
    for word in re.findall(r"[a-z]{4,}", title.lower()):
        for kind in ("titleterms", "terms"):
            pages = index[kind].get(word, [])  # one number, or a list of them
            if number in (pages if isinstance(pages, list) else [pages]):
                return True
    return False


def missing_modules(package: Path, page: Page) -> list[str]:
    """Public modules of a package that the API page does not have."""
    files = [file.relative_to(package.parent) for file in package.rglob("*.py")]
    names = {".".join(file.with_suffix("").parts) for file in files if not file.stem[0] == "_"}
    return sorted(
        f"{name} is not on the API page" for name in names if f"module-{name}" not in page.ids
    )


def read_index(file: Path) -> dict:
    """The search index: JSON inside a call of JavaScript."""
    text = file.read_text(encoding="utf-8")
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


def main(folder: Path) -> None:
    """Print what is wrong and stop with 1, or say what was seen."""
    pages = read_site(folder)
    index = read_index(folder / "searchindex.js")
    found = broken_links(pages)
    lessons = sorted(NOTEBOOKS.glob("*.ipynb"))
    for file in lessons:
        notebook = nbformat.read(file, as_version=4)
        page = pages[folder.resolve() / "notebooks" / f"{file.stem}.html"]
        found += [f"{file.stem}: {fault}" for fault in lost_outputs(notebook, page)]
        title = notebook.cells[0].source.splitlines()[0]
        if not found_by_search(index, f"notebooks/{file.stem}", title):
            found.append(f"{file.stem}: the search finds no word of {title!r} in it")
    found += missing_modules(ROOT / "course_utils", pages[folder.resolve() / "site" / "api.html"])
    if found:
        sys.exit("\n".join(found))
    links = sum(len(page.links) for page in pages.values())
    players = sum(page.players for page in pages.values())
    print(f"{folder}: {len(pages)} pages, {links} links, {players} players, nothing broken")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
