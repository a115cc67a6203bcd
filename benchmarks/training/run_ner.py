"""The peer of `startup.py`, after transformers' run_ner: read, tokenise and align with datasets.map, load, train.

    python -m benchmarks.training.run_ner FOLDER        with train.jsonl, dev.jsonl and test.jsonl in it

It prints FIRST STEP after each step, and is ended by its caller after the first. Favouring it: it does not import
`evaluate` as the example does, reports nothing, and neither checks nor audits what it read.
"""

import sys
from pathlib import Path

import torch
from benchmarks.training.peer import tag_targets
from benchmarks.training.recipe import BATCH, LENGTH, RATES, backbone_folder
from benchmarks.training.rows import TAGS
from datasets import load_dataset
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Bell(TrainerCallback):
    def on_step_end(self, *_, **__):
        print("FIRST STEP", flush=True)


def main(folder):
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")}
    raw = load_dataset("json", data_files=files, cache_dir=str(folder / "cache"))
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder())

    def aligned(rows):
        batch = tokenizer(rows["tokens"], is_split_into_words=True, truncation=True, max_length=LENGTH)
        batch["labels"] = [tag_targets(tags, batch.word_ids(index), TAGS) for index, tags in enumerate(rows["tags"])]
        return batch

    data = raw.map(aligned, batched=True, remove_columns=["tokens", "tags"])
    model = AutoModelForTokenClassification.from_pretrained(
        backbone_folder(), num_labels=len(TAGS), dtype=torch.float32
    )
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "out"),
            per_device_train_batch_size=BATCH,
            learning_rate=RATES["ner"],
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=data["train"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
        callbacks=[Bell()],
    )
    trainer.train()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
