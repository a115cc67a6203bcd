"""Wall seconds from the start of a fresh process to its first finished training step.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.training.startup --rounds 5

    trainer     a script after transformers' run_ner: read, tokenise and align with datasets.map, load, train
    tunesmith   `tunesmith train`, the command as a user types it

Both read the same files of 1,000 sentences to train on, 250 to develop and 250 to test. The clock is this driver's: it
starts before the process does and stops when it hears of the first step, ours from the journal of the run folder,
which is looked at every 5 ms, the peer's from a line it prints. Favouring the peer: it does not import `evaluate` as
run_ner does, reports nothing, and neither checks nor audits what it read. Each is started once before, untimed, so
that all files are in memory. Rows go to `startup.jsonl` beside this file.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.training import rows as data_rows
from benchmarks.training.recipe import BATCH, LENGTH, RATES, backbone_folder

LOG = Path(__file__).with_name("startup.jsonl")
VARIANTS = ("trainer", "tunesmith")
STEP = "FIRST STEP"
SIZES = {"train": ("eng.train", 1000), "dev": ("eng.testa", 250), "test": ("eng.testb", 250)}
CONFIG = f"""\
[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"
[task]
kind = "token_classification"
[train]
length = "3 epochs"
learning_rate = {RATES["ner"]}
batch_size = {BATCH}
warmup = 0.0
weight_decay = 0.0
"""


def peer(folder):
    """The peer's process: run_ner without its arguments."""
    import torch
    from benchmarks.training.trainer import tag_targets
    from datasets import load_dataset
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    files = {split: str(folder / f"{split}.jsonl") for split in SIZES}
    raw = load_dataset("json", data_files=files, cache_dir=str(folder / "cache"))
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder())

    def aligned(rows):
        batch = tokenizer(rows["tokens"], is_split_into_words=True, truncation=True, max_length=LENGTH)
        batch["labels"] = [
            tag_targets(tags, batch.word_ids(index), data_rows.TAGS) for index, tags in enumerate(rows["tags"])
        ]
        return batch

    data = raw.map(aligned, batched=True, remove_columns=["tokens", "tags"])
    model = AutoModelForTokenClassification.from_pretrained(
        backbone_folder(), num_labels=len(data_rows.TAGS), dtype=torch.float32
    )

    class Bell(TrainerCallback):
        def on_step_end(self, *_, **__):
            print(STEP, flush=True)

    settings = TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=BATCH,
        learning_rate=RATES["ner"],
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    collator = DataCollatorForTokenClassification(tokenizer)
    Trainer(
        model=model, args=settings, train_dataset=data["train"], data_collator=collator, processing_class=tokenizer,
        callbacks=[Bell()],
    ).train()  # fmt: skip


def timed(variant):
    """One start, as a row. The process is ended after its first step."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for split, (file, count) in SIZES.items():
            data_rows.write(data_rows.drawn(data_rows.sentences(file), count), folder / f"{split}.jsonl")
        (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
        journal = folder / "run" / "journal.jsonl"
        ours = ["tunesmith.cli.main", "train", str(folder / "config.toml"), "--out", str(journal.parent)]
        theirs = ["benchmarks.training.startup", "--peer", scratch]
        command = [sys.executable, "-m", *(ours if variant == "tunesmith" else theirs)]
        with (folder / "errors").open("w+b") as errors:
            watch = machine.Watch()
            process = subprocess.Popen(command, cwd=rounds.ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
            found = _journal_says(journal, process) if variant == "tunesmith" else _output_says(process)
            seconds = watch.wall()
            process.kill()
            process.wait()
            if not found:
                errors.seek(0)
                sys.exit(f"{variant} ended before its first step\n{errors.read().decode(errors='replace')}")
        return {"task": "startup", "seconds": round(seconds, 2), "other_cores": watch.other_cores(), **machine.facts()}


def _journal_says(journal, process):
    while process.poll() is None:
        if journal.exists() and '"event": "step"' in journal.read_text(encoding="utf-8"):
            return True
        time.sleep(0.005)
    return False


def _output_says(process):
    return any(STEP in line for line in process.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options.peer)
        return
    if options.variant:
        rounds.hand_over(timed(options.variant))
        return
    commands = {name: ["benchmarks.training.startup", "--variant", name] for name in options.variants}
    print(json.dumps(machine.facts()))
    for command in commands.values():
        rounds.child(command)
    found = []
    for row in rounds.interleaved(lambda seed: commands, rounds=options.rounds, log=options.out):
        found.append(row)
        print(
            f"round {row['seed']} {row['variant']:10} {row['seconds']} s, others {row['other_cores']} cores", flush=True
        )
    for name in options.variants:
        print(f"{name:10} seconds {rounds.spread([row['seconds'] for row in found if row['variant'] == name])}")


if __name__ == "__main__":
    main()
