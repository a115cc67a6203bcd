"""The table of bars: what was set out to reach, what the newest full run of `bulk.py` reached, and whether it suffices.

Only rows of 2,000 sentences count; both sides of a ratio stem from one interleaved run, and the newest run that has
both decides. Ratios are taken by wall and by processor time: `met` follows the wall, unless others kept more than 0.15
cores busy. Then it follows processor time, which says something with one thread only, and is `-` with several.

F1 is a difference and not a ratio, and the bar is how far apart the two may be. It holds for the likeliest tags, which
equal weights must give alike; what we answer is decoded to legal tags, and its difference, which has a line without a
bar, is what that decoding brings.
"""

import statistics
from dataclasses import dataclass

from benchmarks import rounds

ROWS = 2000
BUSY = 0.15


@dataclass(frozen=True)
class Bar:
    """`key` of `ours` over that of `peer`, or less that of `peer` where `difference`, against `bar` if there is one."""

    what: str
    ours: str
    bar: float | None
    key: str
    processor_key: str | None = None
    peer: str = "pipeline_32"
    below: bool = False
    difference: bool = False

    def of(self, rows, key):
        """One value a round."""
        if not self.difference:
            return rounds.ratios(rows, self.ours, self.peer, key)
        peers = {row["seed"]: row[key] for row in rows if row["variant"] == self.peer}
        return [row[key] - peers[row["seed"]] for row in rows if row["variant"] == self.ours and row["seed"] in peers]

    def met(self, values):
        """Whether the median of the rounds suffices."""
        median = round(statistics.median(values), 4)
        if self.difference:
            return abs(median) <= self.bar
        return median <= self.bar if self.below else median >= self.bar


SPEED = ("sentences_per_second", "sentences_per_processor_second")
LATENCY = ("p50_ms", "p50_processor_ms")
BARS = (
    Bar("2,000 sentences, bf16: speed against the pipeline", "predictor_bf16", 5, *SPEED),
    Bar("the same, fp32", "predictor", None, *SPEED),
    Bar("one request, bf16: p50 against the pipeline", "predictor_bf16", 0.5, *LATENCY, below=True),
    Bar("the same, fp32", "predictor", None, *LATENCY, below=True),
    Bar("F1 of likeliest tags, bf16 less the pipeline", "predictor_bf16", 0.001, "f1_likeliest", difference=True),
    Bar("F1 of likeliest tags, fp32 less the pipeline", "predictor", 0.001, "f1_likeliest", difference=True),
    Bar("F1 of our answers, bf16 less the pipeline", "predictor_bf16", None, "f1", difference=True),
    Bar("F1 of our answers, fp32 less the pipeline", "predictor", None, "f1", difference=True),
)


def table(rows):
    """Markdown, one line a bar, from rows of one machine."""
    rows = [row for row in rows if row["rows"] >= ROWS]
    head = ["measured", "median [range]", "by processor time", "bar", "met", "rounds", "threads", "others", "commit"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for bar in BARS:
        own = _newest(rows, bar)
        cells = _cells(bar, own) if own else ["not measured", "", _goal(bar), "-", *[""] * 4]
        lines.append(f"| {' | '.join([bar.what, *cells])} |")
    return "\n".join(lines)


def _cells(bar, rows):
    digits = 4 if bar.difference else 2
    values, seconds = bar.of(rows, bar.key), bar.of(rows, bar.processor_key) if bar.processor_key else None
    others, threads = max(row["other_cores"] for row in rows), str(rows[0]["threads"])
    decides = values if others <= BUSY or seconds is None else seconds if threads == "1" else None
    return [
        rounds.spread(values, digits),
        rounds.spread(seconds, digits) if seconds else "",
        _goal(bar),
        "-" if decides is None or bar.bar is None else "yes" if bar.met(decides) else "no",
        str(len(values)),
        threads,
        f"{others:.2f}" + (" busy" if others > BUSY else ""),
        rows[0]["commit"],
    ]


def _goal(bar):
    if bar.bar is None:
        return ""
    if bar.difference:
        return f"within {bar.bar:g}"
    return f"{'at most' if bar.below else 'at least'} {bar.bar:g}"


def _newest(rows, bar):
    """The rows of both sides in the newest run that has them in one round; runs are in the order they were written."""
    runs, needed = {}, {bar.key, bar.processor_key} - {None}
    for row in rows:
        if row["variant"] in (bar.ours, bar.peer) and needed <= row.keys():
            runs.setdefault(row["run"], []).append(row)
    whole = [run for run in runs.values() if bar.of(run, bar.key)]
    return whole[-1] if whole else []
