"""Files are written whole or not at all."""

import pytest

from course_utils.files import written_whole


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_takes_its_place_when_it_is_whole(tmp_path, replace):
    path = tmp_path / "table.csv"
    for text in ("first", "second"):
        with written_whole(path, replace=replace) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".csv" and temporary.name.startswith(".")
    assert path.read_text() == ("second" if replace else "first")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(error), written_whole(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
