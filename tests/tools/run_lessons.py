"""Run lessons from top to bottom and keep what they print: python tests/tools/run_lessons.py 3 5.

Without numbers, all six. What changes from run to run and is no result (times, the state of
widgets) is left out of the files; a cell that fails leaves its file as it was.
"""

import copy
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def main() -> None:
    """Run the lessons named on the command line."""
    chosen = sys.argv[1:] or list("123456")
    for file in sorted(NOTEBOOKS.glob("*.ipynb")):
        if file.name[1] not in chosen:
            continue
        notebook = nbformat.read(file, as_version=4)
        metadata = copy.deepcopy(notebook.metadata)  # the kernel would write itself into it
        NotebookClient(
            notebook,
            timeout=900,
            resources={"metadata": {"path": str(NOTEBOOKS)}},
            store_widget_state=False,
            record_timing=False,
            coalesce_streams=True,
        ).execute()
        notebook.metadata = metadata
        nbformat.write(notebook, file)
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
