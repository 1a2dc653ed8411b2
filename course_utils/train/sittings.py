"""A run in several sittings: what may differ between them, and how that is told."""

from __future__ import annotations

from pathlib import Path

from course_utils.checkpoints import changes_since, load_checkpoint, stopped_run
from course_utils.train.job import Job
from course_utils.training import rate_factor, run_progress

# A report with two of these would tell of no run that ever was.
FIXED = ("batch_size", "seed", "augmentation")


def find_stopped(job: Job) -> dict | None:
    """Read the stopped run that a job goes on with.

    Args:
        job: What to do.

    Returns:
        From `stopped_run`; None where the run begins now.

    Raises:
        ValueError: If there is a checkpoint, but nothing to go on from; if ``weights`` are not
            those that the stopped run began with.

    Notebook: 05
    """
    saved = stopped_run(job.output) if job.resume else None
    if saved is None:
        if Path(job.output).exists() and not job.force:
            raise ValueError(
                f"output {str(job.output)!r} has no stopped run beside it to resume; add --force "
                "to replace it, or choose another name."
            )
        return None
    if job.weights is not None:
        began = saved["metadata"].get("started_from")
        if load_checkpoint(job.weights).metadata != began:
            raise ValueError(
                f"weights must be those that the stopped run began with, got {str(job.weights)!r}; "
                "leave them out, or begin anew with --force in place of --resume."
            )
    return saved


def go_on(saved: dict, report: dict) -> None:
    """Take over from a stopped run what the report must tell, and refuse what would falsify it.

    Args:
        saved: From `find_stopped`.
        report: Of the sitting that begins; gets ``started_from``, ``run``, ``left_out`` and
            ``changes`` (see `changes_since`).

    Raises:
        ValueError: If the sittings differ in what makes a run one run.

    Notebook: 05
    """
    before = saved["metadata"]
    was, now = ({**part, **part.get("config", {})} for part in (before, report))
    for name in FIXED:
        if was.get(name) != now.get(name):
            raise ValueError(
                f"resume must go on with the {name} of the stopped run, {was.get(name)}, got "
                f"{now.get(name)}; give the same options, or begin anew with --force in place of "
                "--resume."
            )
    other_data = before.get("data_fingerprint") != report["data_fingerprint"]
    if other_data and not _same_split(before, report):
        raise ValueError(
            "resume must go on with the data_fingerprint of the stopped run, "
            f"{before.get('data_fingerprint')}, got {report['data_fingerprint']}: what was held "
            "out may have changed; put the files back, or begin anew with --force."
        )
    report["started_from"] = before.get("started_from")
    report["run"] = before.get("run")
    report["left_out"] = list(before.get("left_out", []))
    report["changes"] = changes_since(saved, report)


def describe(saved: dict, report: dict, batches: int) -> list[str]:
    """Say how a run goes on: what is different, and where the learning rate goes on.

    Args:
        saved: From `find_stopped`.
        report: After `go_on`.
        batches: Batches in an epoch.

    Returns:
        Lines of text.

    Notebook: 05
    """
    n_done = len(saved["history"])
    lines = [f"after {n_done} epoch(s) of a stopped run"]
    latest = report["changes"][-1] if report["changes"] else {}
    if latest.get("after_epoch") == n_done:
        different = [
            f"{name} {values[1]}, was {values[0]}"
            for name, values in latest.items()
            if name != "after_epoch"
        ]
        lines.append("with other settings, which the report tells: " + "; ".join(different))
    config, last = report["config"], saved["history"][-1]
    steps = n_done * batches
    progress = run_progress(
        steps, config["epochs"] * batches, last["seconds"], config["max_minutes"]
    )
    rate = config["learning_rate"] * rate_factor(steps, progress)
    if rate > 1.5 * last["lr"]:
        lines.append(f"with a learning rate of {rate:.1e}, which had fallen to {last['lr']:.1e}")
    return lines


def _same_split(before: dict, report: dict) -> bool:
    """Tell whether what was held out before is held out now, but for files that have gone."""
    names = before.get("held_out") or {}
    return bool(names) and names.keys() == report["held_out"].keys()
