"""Score denoisers on voices and noises they never heard: pairs, scores, tables, and the command."""

from course_utils.evaluate.pairs import (
    BASELINES,
    EvaluationPair,
    make_test_pairs,
    read_pairs,
    score_pairs,
)
from course_utils.evaluate.tables import format_table, write_csv

__all__ = [
    "BASELINES",
    "EvaluationPair",
    "format_table",
    "make_test_pairs",
    "read_pairs",
    "score_pairs",
    "write_csv",
]
