"""Links and pictures of everything that is read: README and its like, lessons, data."""

import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
READ = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *sorted((ROOT / "notebooks").glob("*.md")),
    ROOT / "data" / "README.md",
]
every_page = pytest.mark.parametrize("file", READ, ids=lambda file: str(file.relative_to(ROOT)))


def prose(file: Path) -> str:
    """A page's text without blocks of code, in which # means other things."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def links(text: str) -> list[str]:
    """Targets of links and pictures, in Markdown and in HTML; none in code, as in `x[0](y)`."""
    text = re.sub(r"`[^`\n]+`", "code", text)
    markdown = re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", text, re.MULTILINE)
    html = re.findall(r"""\b(?:src|href)=["']([^"']+)["']""", text)
    return [a or b for a, b in markdown] + html


def anchors(text: str) -> set[str]:
    """What #... may name: headings as code hosts spell them, and ids given by hand."""
    found = set(re.findall(r"""<\w+[^>]*\b(?:id|name)=["']([^"']+)["']""", text))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        taken = sum(
            re.fullmatch(re.escape(name) + r"(-\d+)?", other) is not None for other in found
        )
        found.add(f"{name}-{taken}" if taken else name)
    return found


def broken(file: Path, text: str) -> list[str]:
    """Links that lead to no file, or to no heading in it."""
    found = []
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = file.parent / unquote(path) if path else file
        if not target.exists():
            found.append(link)
        elif anchor and unquote(anchor) not in anchors(text if target == file else prose(target)):
            found.append(link)
    return found


def undescribed(text: str) -> list[str]:
    """Pictures without words for those who cannot see them."""
    html = [tag for tag in re.findall(r"<img\b[^>]*>", text) if not re.search(r'\balt="\w', tag)]
    return re.findall(r"!\[\s*\]\([^)]*\)", text) + html


@every_page
def test_every_link_leads_to_a_file_and_a_heading(file):
    assert broken(file, prose(file)) == []


@every_page
def test_every_picture_has_words(file):
    assert undescribed(prose(file)) == []


def test_broken_links_and_bare_pictures_are_seen():
    page = ROOT / "data" / "README.md"
    text = "# A b, c!\n[x](#a-b-c) [x](#a-b) [y](GPL-2.0.txt) [y](gone.txt) [z](https://a.b/c#d)"
    assert broken(page, text) == ["#a-b", "gone.txt"]
    assert broken(page, "[r](../README.md#start) [r](../README.md#the-end)") == [
        "../README.md#the-end"
    ]
    assert broken(page, '<a href="gone.md">\n[a]: gone.md') == ["gone.md", "gone.md"]
    assert undescribed('![](a.png) ![a](a.png) <img src="a"> <img alt="a">') == [
        *("![](a.png)", '<img src="a">')
    ]
    assert anchors("# Twice\n## Twice\n<a id='here'></a>") == {"twice", "twice-1", "here"}
    assert anchors("## What `fit` does") == {"what-fit-does"}
    assert links("`x[0](y)` [`x`](y.md)") == ["y.md"]


def test_the_pages_have_links_and_pictures_to_look_at():
    texts = [prose(file) for file in READ]
    assert any(links(text) for text in texts) and any("![" in text for text in texts)
