"""The peer: transformers' `Trainer` as its run_ner and run_glue examples use it, and with peft.

    trainer            its defaults: random batches padded to their longest row, fp32, fused AdamW
    trainer_best       the same with length grouping, and with bf16 where this processor multiplies faster in it
    trainer_lora       its defaults on a model that peft wrapped
    trainer_lora_best  the same as trainer_best

Tokenising happens before the clock starts, nothing is saved or evaluated while it runs, and the low-rank layers have
no dropout of their own: each of these favours the peer, whose users pay for them.
"""

import tempfile

import torch
from benchmarks.machine import matmul_rates
from benchmarks.training.measured import Measured, Stopwatch
from benchmarks.training.peer import answers_of, encoded, model_for
from benchmarks.training.recipe import (
    BATCH,
    CLIP,
    HELD_BATCH,
    LORA_ALPHA,
    LORA_RANK,
    LORA_TARGETS,
    backbone_folder,
    rate,
)
from datasets import Dataset
from transformers import (
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
    train, held = (Dataset.from_dict(encoded(task, rows, data.labels, tokenizer)) for rows in (data.train, data.held))
    torch.manual_seed(seed)
    model = model_for(task, data.labels)
    if lora:
        model = _wrapped(model, task)
    bf16 = best and _bf16_is_faster()
    faster = {"train_sampling_strategy": "group_by_length", "bf16": bf16} if best else {}
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
        precision="bf16" if bf16 else "fp32",
        answers=answers_of(task, output.predictions, output.label_ids, data.labels),
        whole=not lora,
    )


def _bf16_is_faster():
    rates = matmul_rates()
    return rates["bf16"] > rates["fp32"]


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
