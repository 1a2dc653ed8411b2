"""The course as a website: `make site` builds it from the notebooks as they stand, and runs none.

Everything that the pages need lies in them or beside them; nothing is fetched from elsewhere.
"""

import json
import pkgutil
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LESSONS = [f"notebooks/{file.stem}" for file in sorted(ROOT.glob("notebooks/0*.ipynb"))]
API = "site/api"
BESIDE = [
    *("notebooks/recordings", "notebooks/glossary", "notebooks/model_comparison"),
    *(API, "data/README"),
]
ABOUT = ["CONTRIBUTING", "CHANGELOG"]

project = "Noise cancellation with PyTorch"
project_copyright = "its authors. Code: MIT. Prose and figures: CC BY 4.0"
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
include_patterns = [f"{page}.*" for page in (root_doc, *LESSONS, *BESIDE, *ABOUT)]
exclude_patterns = [".*", "build", "data/*/*"]  # thousands of files that need no look

nb_execution_mode = "off"
nb_merge_streams = True
# Without a kernel a slider moves nothing: its sentence stands in its place.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # a link to a heading, written as code hosts want it

autodoc_member_order = "bysource"
viewcode_follow_imported_members = False
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = project
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_favicon = "icon.svg"
html_math_renderer = "mathml"
html_copy_source = False
html_use_index = False

CONTENTS = """
```{{toctree}}
:hidden:
:caption: {caption}

{pages}
```
"""

MODULE = """
## `{name}`

```{{eval-rst}}
.. automodule:: {name}
   :members:
   :ignore-module-all:
```
"""


def public_modules() -> list[str]:
    """Every module of course_utils, folders after their own name; programs are not for import.

    What a folder hands on is told once, in the module that it comes from.
    """
    package = ROOT / "course_utils"
    found = pkgutil.walk_packages([str(package)], prefix="course_utils.")
    return [module.name for module in found if not module.name.rpartition(".")[2].startswith("_")]


def prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the start page its contents, figures their descriptions, and the API its modules."""
    if page == root_doc:
        # A folder cannot be downloaded; the file that speaks for it can.
        source[0] = re.sub(r"\((course_utils/\w+)\)", r"(\1/__init__.py)", source[0])
        for caption, pages in (("Lessons", LESSONS), ("Beside them", BESIDE), ("About", ABOUT)):
            source[0] += CONTENTS.format(caption=caption, pages="\n".join(pages))
    elif page == API:
        source[0] += "".join(MODULE.format(name=name) for name in public_modules())
    elif page in LESSONS:
        source[0] = json.dumps(described(json.loads(source[0])))


def plain_words(app: Sphinx, what: str, name: str, found: object, options: object, lines: list):
    """Let a docstring's |x| be an absolute value, and its last line a paragraph of its own."""
    text = "\n".join(lines).replace("|", r"\|")
    lines[:] = re.sub(r"\n(?=Notebook: )", "\n\n", text).split("\n")


def described(notebook: dict) -> dict:
    """Put the description that a figure carries where the builder looks for it."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:
                cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
    return notebook


def write_math(writer: nodes.NodeVisitor, node: nodes.math) -> None:
    """Write a formula as MathML, which every browser draws without a script."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def write_math_block(writer: nodes.NodeVisitor, node: nodes.math_block) -> None:
    """Write a formula that stands by itself."""
    writer.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def name_start_page(app: Sphinx, error: Exception | None) -> None:
    """Let the bare address of the site show the README."""
    if error is None:
        shutil.copy(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Hand the functions above to Sphinx."""
    app.connect("source-read", prepare)
    app.connect("autodoc-process-docstring", plain_words)
    app.connect("build-finished", name_start_page)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math_block, None))
