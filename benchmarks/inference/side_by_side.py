"""Three models over one backbone in one bundle, against three bundles: disk, memory, and a mixed stream of requests.

    export OMP_NUM_THREADS=1
    python -m benchmarks.inference.side_by_side                three rounds, a few minutes
    python -m benchmarks.inference.side_by_side --table        prints the table again

Three runs by LoRA on starter:english over samples/support_en, an epoch each: entities, intents, intents with another
seed. Batches wait as in the service: texts of the test split in turn, as many for each model. Each variant answers all
of them in a process of its own:

    apart       three bundles in one process, each answering its own texts of a batch (updates are folded in)
    in_turn     the joined bundle, one model after the other
    joined      the joined bundle, all texts of a batch in the same passes

Memory is what the process holds once it has answered, less what a process holds that has only imported the library.
"""

import argparse
import json
import tempfile
from itertools import cycle, islice
from pathlib import Path

from benchmarks import machine, rounds

LOG = Path(__file__).with_name("side_by_side.jsonl")
SAMPLES = Path(__file__).parents[2] / "samples" / "support_en"
RUNS = {
    "entities": ("token_classification", 0),
    "intents": ("text_classification", 0),
    "again": ("text_classification", 1),
}
VARIANTS = ("apart", "in_turn", "joined")
BATCHES = (3, 12, 48)
"""Texts in a batch, a third of them for each model"""
TEXTS = 576
"""Texts answered in batches of each size"""


def trained(folder):
    """The three runs, and the bundle that joins them."""
    import tunesmith
    from tunesmith.run.joining import joined

    for name, (task, seed) in RUNS.items():
        settings = {
            "seed": seed,
            "data": {split: str(SAMPLES / f"{split}.jsonl") for split in ("dev", "test")},
            "method": {"kind": "lora"},
            "train": {"length": "1 epoch", "precision": "fp32"},
        }
        tunesmith.train(SAMPLES / "train.jsonl", task=task, out=folder / name, settings=settings, progress=None)
    joined([str(folder / name) for name in RUNS], out=folder / "desk")


def one(options):
    """Answer the stream in one way in this process and hand the row over."""
    import tunesmith
    from tunesmith.bundle.joined_predictor import JoinedPredictor, Questions
    from tunesmith.bundle.predictor import as_example

    before = machine.matmul_rates()
    bare = resident_mb()
    if options.variant == "apart":
        models = {name: tunesmith.load(options.folder / name / "bundle") for name in RUNS}
        disk = sum(size(options.folder / name / "bundle") for name in RUNS)
    else:
        models = JoinedPredictor.load(options.folder / "desk")
        disk = size(options.folder / "desk")
    texts = [json.loads(line)["text"] for line in (SAMPLES / "test.jsonl").read_text(encoding="utf-8").splitlines()]

    def answer(batch):
        own = len(batch) // len(RUNS)
        asked = [Questions(name, batch[at * own : (at + 1) * own]) for at, name in enumerate(RUNS)]
        if options.variant == "joined":
            return models.answer(asked)
        return [models[question.adapter].answer(question.examples) for question in asked]

    row = {"disk_mb": round(disk / 1e6, 1)}
    for count in BATCHES:
        stream = iter([as_example(text, line) for line, text in enumerate(islice(cycle(texts), TEXTS), start=1)])
        batches = list(iter(lambda: list(islice(stream, count)), []))  # noqa: B023 - called at once
        for batch in batches[:4]:
            answer(batch)
        watch = machine.Watch()
        for batch in batches:
            answer(batch)
        row |= {f"batch_{count}_seconds": watch.processor(), f"batch_{count}_wall": watch.wall()}
        row["other_cores"] = max(row.get("other_cores", 0.0), watch.other_cores())
    row["memory_mb"] = round(resident_mb() - bare, 1)
    after = machine.matmul_rates()
    rounds.hand_over(row | {"gemm_gflops": {name: [before[name], after[name]] for name in before}} | machine.facts())


def resident_mb():
    """What this process holds now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1000


def size(folder):
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table(rows):
    """Markdown: medians and ranges over rounds; rates by processor time."""
    about = rows[0]
    lines = [f"{about['processor']}, {about['threads']} thread, commit {about['commit']}", ""]
    lines += ["| | disk | memory | " + " | ".join(f"texts/s, batches of {count}" for count in BATCHES) + " |"]
    lines += ["|---|---|---|" + "---|" * len(BATCHES)]
    for variant in VARIANTS:
        own = [row for row in rows if row["variant"] == variant]
        cells = [f"{own[0]['disk_mb']:.0f} MB", f"{rounds.spread([row['memory_mb'] for row in own], 0)} MB"]
        cells += [rounds.spread([TEXTS / row[f"batch_{count}_seconds"] for row in own], 0) for count in BATCHES]
        lines.append(f"| `{variant}` | {' | '.join(cells)} |")
    for base in ("in_turn", "apart"):
        said = [
            f"{count}: {rounds.spread([1 / ratio for ratio in rounds.ratios(rows, 'joined', base, key)])}"
            for count in BATCHES
            for key in [f"batch_{count}_seconds"]
        ]
        lines += ["", f"joined over {base}, times as many texts, by batch: {'; '.join(said)}"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", action="store_true", help="print the newest run in the file of rows")
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        one(options)
        return
    if options.table:
        rows = rounds.read(options.out)
        print(table([row for row in rows if row["run"] == rows[-1]["run"]]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        trained(Path(scratch))
        common = ["benchmarks.inference.side_by_side", "--folder", scratch, "--variant"]
        commands = {variant: [*common, variant] for variant in VARIANTS}
        print(table(list(rounds.interleaved(lambda seed: commands, rounds=options.rounds, log=options.out))))


if __name__ == "__main__":
    main()
