"""The table of bars: what was set out to reach, what the newest full run reached, and whether that is enough.

Only rows of full size count (1,000 rows, 3 epochs). Both sides of a ratio stem from one interleaved run, and the newest
run that has both decides.
"""

import statistics
from dataclasses import dataclass

from benchmarks import rounds

ROWS, EPOCHS = 1000, 3
BUSY = 0.15


@dataclass(frozen=True)
class Bar:
    """`key` of `ours`, over that of `peer` where there is one, must reach `bar`, or stay below it."""

    what: str
    ours: str
    bar: float
    peer: str | None = None
    task: str = "ner"
    key: str = "tokens_per_second"
    below: bool = False
    precision: str | None = None
    score_too: bool = False
    """Whether the median score must not be lower than the peer's"""

    def met(self, values, scores):
        """Whether the median of the rounds is enough."""
        median = statistics.median(values)
        enough = median <= self.bar if self.below else median >= self.bar
        return enough and not (self.score_too and scores[0] < scores[1])


BARS = (
    Bar("tokens/s, Trainer with its defaults", "tunesmith", 3.5, "trainer"),
    Bar("tokens/s, Trainer at its best, F1 not lower", "tunesmith", 1.4, "trainer_best", score_too=True),
    Bar("tokens/s, the textbook loop", "tunesmith", 10, "textbook"),
    Bar("share of the limit, fp32", "fp32", 0.60, key="share_of_limit", precision="fp32"),
    Bar("share of the limit, bf16", "tunesmith", 0.38, key="share_of_limit", precision="bf16"),
    Bar("peak memory, Trainer, fp32", "fp32", 0.65, "trainer", key="peak_rss_mb", below=True),
    Bar("LoRA tokens/s, peft and Trainer", "lora", 3, "trainer_lora"),
    Bar("seconds to the first finished step", "tunesmith", 3, task="startup", key="seconds", below=True),
    Bar("intents tokens/s, Trainer with its defaults", "tunesmith", 3, "trainer", task="intents"),
    Bar("pairs tokens/s, Trainer with its defaults", "tunesmith", 3, "trainer", task="pairs"),
)


def table(rows):
    """Markdown, one line a bar, from rows of one machine."""
    head = ["measured", "median [range]", "bar", "met", "score, peer's", "rounds", "threads", "others", "commit"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for bar in BARS:
        own = _newest(rows, bar)
        cells = _cells(bar, own) if own else ["not measured", _goal(bar), "-", *[""] * 5]
        lines.append(f"| {' | '.join([bar.what, *cells])} |")
    return "\n".join(lines)


def _cells(bar, rows):
    own = [row for row in rows if row["variant"] == bar.ours]
    values = rounds.ratios(rows, bar.ours, bar.peer, bar.key) if bar.peer else [row[bar.key] for row in own]
    scores = [
        statistics.median(row["score"] for row in rows if row["variant"] == variant)
        for variant in (bar.ours, bar.peer)
        if variant and "score" in own[0]
    ]
    others = max(row["other_cores"] for row in rows)
    return [
        rounds.spread(values),
        _goal(bar),
        "yes" if bar.met(values, scores) else "no",
        ", ".join(f"{score:.3f}" for score in scores),
        str(len(values)),
        str(own[0]["threads"]),
        f"{others:.2f}" + (" busy" if others > BUSY else ""),
        own[0]["commit"],
    ]


def _goal(bar):
    return f"{'at most' if bar.below else 'at least'} {bar.bar:g}"


def _newest(rows, bar):
    """The rows of the newest run that has both sides in one round; runs are in the order they were written."""
    runs = {}
    for row in rows:
        full = row["task"] == "startup" or (row["rows"] >= ROWS and row["epochs"] >= EPOCHS)
        fits = row["variant"] == bar.peer or (
            row["variant"] == bar.ours
            and bar.precision in (None, row.get("precision"))
            and row.get(bar.key) is not None
        )
        if row["task"] == bar.task and full and fits:
            runs.setdefault(row["run"], []).append(row)
    whole = [
        run
        for run in runs.values()
        if {row["seed"] for row in run if row["variant"] == bar.ours}
        & {row["seed"] for row in run if bar.peer is None or row["variant"] == bar.peer}
    ]
    return whole[-1] if whole else []
