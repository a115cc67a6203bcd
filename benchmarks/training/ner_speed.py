"""Tokens a second of the real loop against the transformers Trainer, entities, `starter:english`, equal recipe.

    TUNESMITH_DATA=... OMP_NUM_THREADS=2 python benchmarks/training/ner_speed.py --rounds 3

Each round trains every variant in a fresh process, one after the other, on the same 1,000 sentences (conll2003
eng.train) with the same batch size, rate, schedule, decay and epochs, and scores 1,000 sentences of eng.testa strictly.
Printed are medians and ranges over rounds; a round is a seed. Rows go to `ner_speed.jsonl` beside this file.

    trainer      transformers.Trainer with its defaults and the run_ner recipe: dynamic padding, fp32
    trainer_best the same with length grouping and bf16
    tunesmith    tunesmith.tune.fit as `tunesmith train` runs it, precision = "auto"
    fp32         the same with precision = "fp32"

On a machine that others use, `OMP_NUM_THREADS=1` and the ratio by processor time are what to look at.
"""

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TYPES = ("LOC", "MISC", "ORG", "PER")
TAGS = ("O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI"))
RATE, BATCH = 2e-4, 16
VARIANTS = ("trainer", "trainer_best", "tunesmith", "fp32")


def sentences(split, count):
    """Words and IOB2 tags of `count` random sentences."""
    found, words, tags = [], [], []
    for line in (Path(os.environ["TUNESMITH_DATA"]) / "conll2003" / split).read_text(encoding="utf-8").splitlines():
        parts = line.split()
        if parts and parts[0] != "-DOCSTART-":
            words.append(parts[0])
            tags.append(parts[-1])
        elif words:
            found.append((words, iob2(tags)))
            words, tags = [], []
    return random.Random(0).sample(found, count)


def iob2(tags):
    """IOB1 to IOB2."""
    made, before = [], "O"
    for tag in tags:
        begins = tag != "O" and (before == "O" or before[2:] != tag[2:])
        made.append(f"B-{tag[2:]}" if begins else tag)
        before = tag
    return made


def strict_f1(gold, predicted):
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    return f1_score(gold, predicted, mode="strict", scheme=IOB2)


def trainer(arguments, best):
    """The run_ner recipe: first piece of a word carries its tag, dynamic padding."""
    import torch
    from datasets import Dataset
    from transformers import (
        AutoTokenizer,
        BertForTokenClassification,
        DataCollatorForTokenClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from tunesmith.models.checkpoint import locate

    folder = str(locate("starter:english").folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encoded(rows):
        batch = tokenizer([words for words, _ in rows], is_split_into_words=True, truncation=True, max_length=128)
        batch["labels"] = []
        for index, (_, tags) in enumerate(rows):
            labels, before = [], None
            for word in batch.word_ids(index):
                labels.append(-100 if word is None or word == before else TAGS.index(tags[word]))
                before = word
            batch["labels"].append(labels)
        return Dataset.from_dict(dict(batch))

    class Clock(TrainerCallback):
        def __init__(self):
            self.epochs = []

        def on_epoch_begin(self, *_, **__):
            self.begin = time.perf_counter()

        def on_epoch_end(self, *_, **__):
            self.epochs.append(time.perf_counter() - self.begin)

    train, dev = sentences("eng.train", arguments.sentences), sentences("eng.testa", 1000)
    data, held = encoded(train), encoded(dev)
    torch.manual_seed(arguments.seed)
    model = BertForTokenClassification.from_pretrained(folder, num_labels=len(TAGS), dtype=torch.float32)
    clock = Clock()
    extra = {"train_sampling_strategy": "group_by_length", "bf16": True} if best else {}
    with tempfile.TemporaryDirectory() as scratch:
        settings = TrainingArguments(
            output_dir=scratch,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=32,
            num_train_epochs=arguments.epochs,
            learning_rate=RATE,
            lr_scheduler_type="linear",
            seed=arguments.seed,
            save_strategy="no",
            report_to=[],
            logging_steps=1000,
            disable_tqdm=True,
            use_cpu=True,
            **extra,
        )
        collator = DataCollatorForTokenClassification(tokenizer)
        run = Trainer(
            model=model, args=settings, train_dataset=data, data_collator=collator, processing_class=tokenizer,
            callbacks=[clock],
        )  # fmt: skip
        begin = clocks()
        run.train()
        wall, processor = (after - before for after, before in zip(clocks(), begin, strict=True))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers = run.predict(held)
    predicted, gold = [], []
    for row, labels in zip(answers.predictions.argmax(-1), answers.label_ids, strict=True):
        kept = labels != -100
        predicted.append([TAGS[tag] for tag in row[kept]])
        gold.append([TAGS[tag] for tag in labels[kept]])
    tokens = sum(len(ids) for ids in data["input_ids"])
    return tokens, clock.epochs, (wall, processor), peak, strict_f1(gold, predicted)


def example(index, words, tags):
    """One sentence as our reader gives it."""
    from tunesmith.core.example import Example, Source, Span

    borders, start = [], 0
    for word in words:
        borders.append((start, start + len(word)))
        start += len(word) + 1
    spans = []
    for (begin, end), tag in zip(borders, tags, strict=True):
        if tag.startswith("B-"):
            spans.append(Span(begin, end, tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = Span(spans[-1].start, end, tag[2:])
    source = Source("conll", index + 1)
    return Example(id=str(index), text=" ".join(words), source=source, words=tuple(borders), gold=tuple(spans))


def tags_of(item, answer):
    """The IOB2 tags of a predicted entity list."""
    tags = ["O"] * len(item.words)
    for span in answer.predicted:
        inside = [n for n, (start, end) in enumerate(item.words) if span.start <= start and end <= span.end]
        for place, word in enumerate(inside):
            tags[word] = f"{'I' if place else 'B'}-{span.label}"
    return tags


def tunesmith(arguments, precision):
    """`fit` over the task's own encoding and decoding."""
    import torch

    from tunesmith.core.model import Model
    from tunesmith.core.rooms import METHODS, TASKS
    from tunesmith.core.tokenizer import Tokenizer
    from tunesmith.models.checkpoint import locate
    from tunesmith.models.inference import logits_of
    from tunesmith.models.loading import load_backbone
    from tunesmith.models.surgery import apply_method
    from tunesmith.tune.data import TrainingData
    from tunesmith.tune.events import Stepped
    from tunesmith.tune.fit import fit
    from tunesmith.tune.settings import TrainSettings

    train = [example(index, *row) for index, row in enumerate(sentences("eng.train", arguments.sentences))]
    rows = sentences("eng.testa", 1000)
    dev = [example(index, *row) for index, row in enumerate(rows)]
    checkpoint = locate("starter:english")
    tokenizer = Tokenizer(checkpoint.tokenizer_file, max_length=128)
    task = TASKS.make({"kind": "token_classification"}, key="task").bound(train)
    encodings = task.encode(train, tokenizer)
    torch.manual_seed(arguments.seed)
    backbone = load_backbone(checkpoint)
    model = Model(backbone, task.head(backbone))
    apply_method(model, METHODS.make("full", key="method"))
    settings = TrainSettings(
        length=f"{arguments.epochs} epochs", learning_rate=RATE, warmup=0.0, weight_decay=0.0, batch_size=BATCH,
        precision=precision,
    )  # fmt: skip
    data = TrainingData(encodings=encodings, ids=[item.id for item in train], seed=arguments.seed)
    begin, mark = clocks(), time.perf_counter()
    epochs = []
    for event in fit(model, task, data, settings=settings):
        if isinstance(event, Stepped) and event.epoch == int(event.epoch):
            epochs.append(time.perf_counter() - mark)
            mark = time.perf_counter()
    wall, processor = (after - before for after, before in zip(clocks(), begin, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    windows = task.encode(dev, tokenizer)
    logits = [values for _, values in logits_of(model, windows)]
    answers = task.decode(dev, windows, logits, head=model.head)
    predicted = [tags_of(item, answer) for item, answer in zip(dev, answers, strict=True)]
    tokens = sum(len(window) for window in encodings)
    return tokens, epochs, (wall, processor), peak, strict_f1([tags for _, tags in rows], predicted)


def one(arguments):
    """Train one variant in this process and print its row."""
    busy = busy_seconds()
    begin = time.perf_counter()
    match arguments.variant:
        case "trainer" | "trainer_best":
            tokens, epochs, spent, peak, f1 = trainer(arguments, arguments.variant == "trainer_best")
        case variant:
            tokens, epochs, spent, peak, f1 = tunesmith(arguments, "auto" if variant == "tunesmith" else variant)
    took = time.perf_counter() - begin
    row = {
        "variant": arguments.variant,
        "seed": arguments.seed,
        "sentences": arguments.sentences,
        "tokens_per_second": round(tokens / min(epochs[1:] or epochs), 1),
        "epoch_seconds": [round(value, 2) for value in epochs],
        "tokens_per_processor_second": round(tokens * arguments.epochs / spent[1], 1),
        "wall_seconds": round(spent[0], 2),
        "peak_rss_mb": round(peak),
        "f1": round(f1, 4),
        "other_cores": round(max(0.0, (busy_seconds() - busy) / took - sum(os.times()[:2]) / took), 2),
        **machine(),
    }
    print("ROW " + json.dumps(row), flush=True)


def clocks():
    """Wall time, and the processor time of this process: with one thread it hardly feels what others do."""
    return time.perf_counter(), time.process_time()


def busy_seconds():
    """Seconds that all cores together were busy since boot: shows whether somebody else was at work."""
    values = [
        int(value) / os.sysconf("SC_CLK_TCK") for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    ]
    return sum(values[:3]) + sum(values[5:8])


def machine():
    from importlib.metadata import version

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    processor = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "commit": commit.stdout.strip(),
    }


def spread(values):
    return f"{statistics.median(values):,.2f} [{min(values):,.2f}..{max(values):,.2f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.variant:
        one(arguments)
        return
    print(json.dumps(machine()))
    rows = []
    log = Path(__file__).with_suffix(".jsonl")
    for seed in range(arguments.rounds):
        for variant in arguments.variants:
            command = [sys.executable, __file__, "--variant", variant, "--seed", str(seed)]
            command += ["--sentences", str(arguments.sentences), "--epochs", str(arguments.epochs)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            line = next((line for line in done.stdout.splitlines() if line.startswith("ROW ")), None)
            if line is None:
                sys.exit(done.stdout + done.stderr)
            rows.append(json.loads(line[4:]))
            with log.open("a", encoding="utf-8") as out:
                out.write(line[4:] + "\n")
            shown = (
                "tokens_per_second",
                "tokens_per_processor_second",
                "wall_seconds",
                "peak_rss_mb",
                "f1",
                "other_cores",
            )
            print(f"round {seed} {variant:13}", *(f"{key} {rows[-1][key]}" for key in shown), flush=True)
    base = {row["seed"]: row for row in rows if row["variant"] == arguments.variants[0]}
    print(f"\nmedian [range] over {arguments.rounds} rounds, ratios to {arguments.variants[0]} of the same round")
    for variant in arguments.variants:
        own = [row for row in rows if row["variant"] == variant]
        ratios = {
            key: spread([row[key] / base[row["seed"]][key] for row in own])
            for key in ("tokens_per_second", "tokens_per_processor_second", "peak_rss_mb")
        }
        print(
            f"{variant:13} tokens/s {spread([row['tokens_per_second'] for row in own])}"
            f"  ratio {ratios['tokens_per_second']}  by processor time {ratios['tokens_per_processor_second']}"
            f"  memory {ratios['peak_rss_mb']}  F1 {spread([row['f1'] for row in own])}"
        )


if __name__ == "__main__":
    main()
