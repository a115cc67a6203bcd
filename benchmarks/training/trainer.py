"""The peer: transformers' `Trainer` as its run_ner and run_glue examples use it, and with peft.

    trainer            its defaults: random batches padded to their longest row, fp32, fused AdamW
    trainer_best       the same with length grouping and bf16, the fastest it is known to run on a processor
    trainer_lora       its defaults on a model that peft wrapped
    trainer_lora_best  the same with length grouping and bf16

Tokenising happens before the clock starts, nothing is saved or evaluated while it runs, and the low-rank layers have
no dropout of their own: each of these favours the peer, whose users pay for them.
"""

import tempfile

import torch
from benchmarks.training.measured import Measured, Stopwatch
from benchmarks.training.recipe import (
    BATCH,
    CLIP,
    HELD_BATCH,
    LENGTH,
    LORA_ALPHA,
    LORA_RANK,
    LORA_TARGETS,
    backbone_folder,
    rate,
)
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


def measure(task, data, *, epochs, seed, best=False, lora=False):
    """Train on `data.train`, answer `data.held`."""
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder())
    train, held = (encoded(task, rows, data.labels, tokenizer) for rows in (data.train, data.held))
    torch.manual_seed(seed)
    model = model_for(task, data.labels)
    if lora:
        model = _wrapped(model, task)
    faster = {"train_sampling_strategy": "group_by_length", "bf16": True} if best else {}
    laps = _Laps()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=scratch,
                per_device_train_batch_size=BATCH,
                per_device_eval_batch_size=HELD_BATCH,
                num_train_epochs=epochs,
                learning_rate=rate(task, lora=lora),
                lr_scheduler_type="linear",
                weight_decay=0.0,
                max_grad_norm=CLIP,
                seed=seed,
                label_names=["labels"],
                save_strategy="no",
                report_to=[],
                logging_steps=1000,
                disable_tqdm=True,
                use_cpu=True,
                **faster,
            ),
            train_dataset=train,
            data_collator=(DataCollatorForTokenClassification if task == "ner" else DataCollatorWithPadding)(tokenizer),
            processing_class=tokenizer,
            callbacks=[laps],
        )
        trainer.train()
        spent = laps.watch.spent()
        trainer.args.train_sampling_strategy = "random"  # grouping would shuffle the held-out rows as well
        output = trainer.predict(held)
    return Measured(
        spent=spent,
        lengths=[len(ids) for ids in train["input_ids"]],
        precision="bf16" if best else "fp32",
        answers=answers_of(task, output.predictions, output.label_ids, data.labels),
        whole=not lora,
    )


def encoded(task, rows, labels, tokenizer):
    """Rows as the examples of transformers encode them; for tags, the first sub-word of a word carries its tag."""
    texts = [list(row.words) if row.words else row.text for row in rows]
    pairs = [row.pair for row in rows] if task == "pairs" else None
    batch = tokenizer(texts, pairs, is_split_into_words=task == "ner", truncation=True, max_length=LENGTH)
    batch["labels"] = [_target(task, row, labels, batch.word_ids(index)) for index, row in enumerate(rows)]
    return Dataset.from_dict(dict(batch))


def model_for(task, labels):
    """The pretrained encoder in fp32 with a fresh head."""
    folder = backbone_folder()
    if task == "ner":
        return AutoModelForTokenClassification.from_pretrained(folder, num_labels=len(labels), dtype=torch.float32)
    kind = "regression" if task == "pairs" else "single_label_classification"
    return AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=len(labels) or 1, problem_type=kind, dtype=torch.float32
    )


def answers_of(task, logits, targets, labels):
    """Tags of the words that the window shows, intents, or scores, each the likeliest by itself."""
    match task:
        case "ner":
            kept = zip(logits.argmax(-1), targets, strict=True)
            return [[labels[tag] for tag in row[gold != -100]] for row, gold in kept]
        case "intents":
            return [labels[index] for index in logits.argmax(-1)]
        case "pairs":
            return logits[:, 0].tolist()


def tag_targets(tags, word_ids, labels):
    """The class of a word's tag at its first sub-word, -100 everywhere else."""
    made, before = [], None
    for word in word_ids:
        made.append(-100 if word is None or word == before else labels.index(tags[word]))
        before = word
    return made


def _target(task, row, labels, word_ids):
    if task == "ner":
        return tag_targets(row.gold, word_ids, labels)
    return row.gold if task == "pairs" else labels.index(row.gold)


def _wrapped(model, task):
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(
        task_type="TOKEN_CLS" if task == "ner" else "SEQ_CLS",
        r=LORA_RANK,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
        target_modules=list(LORA_TARGETS),
    )
    return get_peft_model(model, settings)


class _Laps(TrainerCallback):
    """Starts the watch when the loop starts, not when it is prepared."""

    def on_train_begin(self, *_, **__):
        self.watch = Stopwatch()

    def on_epoch_end(self, *_, **__):
        self.watch.lap()
