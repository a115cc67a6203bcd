"""The table of the ablation: how many times as fast, and with how much of the memory, a step runs with each trick.

Above 1 in speed means that the trick pays. Each cell is a median and range over the rounds of the newest full run of
`speed` on that data set in which the trick was turned off (`--variants ablation`, or its switch beside `tunesmith`).
"""

from benchmarks import rounds

TASKS = {"ner": "conll2003", "intents": "banking77", "pairs": "stsb"}
TRICKS = {
    "fp32": "bf16, against fp32",
    "no_ragged": "linear layers on real tokens only, against a rectangle of as many rows as padding makes",
    "no_ragged_hosted": "ragged encoder, against transformers' own over one padded rectangle",
    "no_own_attention": "own attention core, against scaled_dot_product_attention",
    "no_fp32_attention": "fp32 attention in short chunks, against bf16",
    "round_1": "tokens rounded up to 32, against none",
    "round_16": "tokens rounded up to 32, against 16",
    "round_64": "tokens rounded up to 32, against 64",
    "whole_table": "only embedding rows that occur, against the whole table",
    "torch_dropout": "dropout by bytes, against torch's",
    "no_recall": "hidden states below a frozen backbone kept (head_only), against computed in every epoch",
    "one_chunk": "attention in up to four chunks of like length, against one",
    "window_a_block": "blocks that windows share in attention, against a block each",
    "whole_last_layer": "behind the last attention only rows that the head reads, against all",
}
BASE = "tunesmith"
BASES = {"no_recall": "head_only"}
"""Where the base is another one"""
ROWS, EPOCHS = 1000, 2
"""The first epoch does not count, and a trick shows in the second as well as in the third"""


def table(rows):
    """Markdown, one line a trick."""
    names = [f"{name} {what}" for name in TASKS.values() for what in ("speed", "memory")]
    lines = [f"| trick | {' | '.join(names)} |", f"|{'---|' * (1 + len(names))}"]
    for variant, trick in TRICKS.items():
        cells = []
        for task in TASKS:
            own = _newest(rows, task, variant)
            for key in ("tokens_per_second", "peak_rss_mb"):
                values = rounds.ratios(own, BASES.get(variant, BASE), variant, key)
                cells.append(rounds.spread(values) if values else "-")
        lines.append(f"| {trick} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _newest(rows, task, variant):
    """The newest full run with this switch and its base in it; runs are in the order they were written."""
    full = [row for row in rows if row["task"] == task and row["rows"] >= ROWS and row["epochs"] >= EPOCHS]
    based = {row["run"] for row in full if row["variant"] == BASES.get(variant, BASE)}
    runs = [row["run"] for row in full if row["variant"] == variant and row["run"] in based]
    return [row for row in full if row["run"] == runs[-1]] if runs else []
