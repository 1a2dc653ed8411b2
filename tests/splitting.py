"""The two halves of a split, as a training run and its later sittings make them."""

from course_utils.train.folders import choose_held_out, split_by_name


def hold_out(index, *, name="folder", **how):
    """Choose what is held out, and split by it: (training, validation)."""
    return split_by_name(index, choose_held_out(index, name=name, **how), name=name)
