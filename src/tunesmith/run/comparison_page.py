"""`compare.html`: what a comparison says, as one file that opens anywhere."""

from pathlib import Path

from tunesmith.core.byte_size import in_words
from tunesmith.judge.page import language, written
from tunesmith.judge.truth import p_in_words
from tunesmith.run.comparison import Comparison
from tunesmith.web.loading import page


def write_comparison_page(found: Comparison, out: Path, *, title: str) -> Path:
    """Write the page and give its path.

    Raises:
        CannotCreateError: it may not be written.
    """
    rows = [
        row.as_record()
        | {"bundle": in_words(row.bundle_bytes), "memory": row.gpu_mb or row.memory_mb}
        | {"p": p_in_words(row.against_best.p_value) if row.against_best else ""}
        for row in found.rows
    ]
    rivals = [{"name": name, **metric.as_record()} for name, metric in found.baselines.items()]
    context = {
        "title": title,
        "metric": found.metric,
        "rows": rows,
        "seeds": max(len(row.seeds) for row in found.rows),
        "advice": found.advice,
        "missing": found.missing,
        "charts": {"metric": found.metric, "methods": rows, "baselines": rivals},
    }
    return written(out, page("compare.html.j2", context | language()))
