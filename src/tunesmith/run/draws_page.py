"""`draws.html`: a few-shot run over its draws, as one file that opens anywhere."""

from pathlib import Path

from tunesmith.judge.page import language, written
from tunesmith.run.draws import Draws
from tunesmith.web.loading import page


def write_draws_page(found: Draws, out: Path, *, title: str) -> Path:
    """Write the page and give its path.

    Raises:
        CannotCreateError: it may not be written.
    """
    record = found.as_record()
    context = {"title": title, "found": record, "charts": {"draws": record["draws"], "baseline": record["baseline"]}}
    return written(out, page("draws.html.j2", context | language()))
