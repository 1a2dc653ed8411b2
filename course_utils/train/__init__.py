"""Train a denoiser: what it learns from, what a run can be asked to do, and the command."""

from course_utils.train.job import BATCH_SIZE, Job
from course_utils.train.material import SEGMENT_LENGTH, make_datasets

__all__ = ["BATCH_SIZE", "SEGMENT_LENGTH", "Job", "make_datasets"]
