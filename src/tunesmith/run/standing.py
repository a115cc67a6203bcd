"""In what state a run is, from the lock and from what it left; a run that was killed cannot have said so itself."""

from dataclasses import dataclass
from typing import Final, Literal

from tunesmith.run.course import Course

State = Literal["running", "finished", "stopped", "interrupted", "broken"]
STATES: Final[tuple[State, ...]] = ("running", "finished", "stopped", "interrupted", "broken")
"""
running      a process holds its lock
finished     report and bundle are there
stopped      a signal asked it to, and it saved
interrupted  it ended without saying so: killed, out of memory or disk, an error; or while it was judged
broken       a file in it is damaged, or was never written by a run
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state in one word, and what a person should know of it beside."""

    state: State
    detail: str = ""


def standing(course: Course | None, *, holder: str | None, complete: bool, problem: str | None) -> Standing:
    """The state of a run.

    Args:
        course: how far its newest lesson came; None before the first step.
        holder: who holds its lock.
        complete: whether report and bundle are there.
        problem: what is damaged, if anything is.
    """
    if holder is not None:
        return Standing("running", f"{_stage(course)} ({holder})")
    if problem is not None:
        return Standing("broken", problem)
    if complete:
        return Standing("finished")
    if course is None:
        return Standing("interrupted", "ended before its first step")
    saved = f"saved at step {course.saved}" if course.saved is not None else "nothing saved"
    if course.trained:
        return Standing("interrupted", f"trained, but not judged and bundled to the end; {saved}")
    if course.reason is not None:
        return Standing("stopped", f"by {course.reason} at step {course.step}; {saved}")
    return Standing("interrupted", f"ended at step {course.step} without saying why; {saved}")


def _stage(course: Course | None) -> str:
    if course is None:
        return "reading the data"
    if course.trained:
        return "judging"
    if course.reason is not None:
        return f"reading the data, to go on from step {course.saved}"
    return f"step {course.step} of {course.steps}" if course.steps else f"step {course.step}"
