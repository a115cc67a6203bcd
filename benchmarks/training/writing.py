"""Tokens a second of teaching a language model to answer by LoRA: ours against peft and transformers' `Trainer`.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.training.writing --rounds 3       restaurant facts to sentences (e2e_nlg), starter:chat
    python -m benchmarks.training.writing --table          the bar and what the newest run reached

Each round tunes both variants in fresh processes, one after the other, on the same rows in fp32, with the same rank,
targets, rate, schedule and batch size, and takes the mean loss of held-out answers, per token. A round is a seed. Both
learn the answers and their end only. The peer pads a batch to its longest row, as its collator for such rows does;
tokenising happens before its clock starts, and its rows are grouped by length (`best`) or drawn at random.

Tokens are those of prompts and answers without padding. The rate is that of the whole training but its first step.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.driver import data_folder

LOG = Path(__file__).with_suffix(".jsonl")
BAR = 1.5
RANK, ALPHA, TARGETS, RATE = 8, 16, ("q_proj", "v_proj"), 1e-3
BATCH, LENGTH = 8, 256
SHOWN = ("seed", "variant", "tokens_per_second", "held_out_loss", "peak_rss_mb")
VARIANTS = ("peft", "peft_best", "tunesmith")


def windows(data, rows, held):
    """Our windows of training and held-out rows: what both variants learn."""
    from tunesmith.core.tokenizer import Tokenizer
    from tunesmith.models.checkpoint import locate
    from tunesmith.models.template_file import chat_template
    from tunesmith.prepare.reading import detect, read
    from tunesmith.tasks.generation import Generation

    checkpoint = locate("starter:chat")
    template = chat_template(checkpoint)
    tokenizer = Tokenizer(checkpoint.tokenizer_file, max_length=LENGTH, causal=True, template=template)
    found = []
    for name, count in (("train", rows), ("test", held)):
        file = data / "e2e_nlg" / f"{name}.csv"
        finding = detect(file, given={"task": "generation"})
        examples = list(read(file, finding.format))
        found.append(Generation().encode(examples[:: len(examples) // count][:count], tokenizer))
    return checkpoint, found[0], found[1]


def tunesmith(checkpoint, train, held, *, seed):
    """Seconds of the steps but the first, tokens in them, and the held-out loss."""
    import torch

    from tunesmith.core.model import Model
    from tunesmith.methods.lora import Lora
    from tunesmith.models.loading import load_backbone
    from tunesmith.models.surgery import apply_method
    from tunesmith.run.dev_score import mean_likelihood
    from tunesmith.tasks.generation import Generation
    from tunesmith.tune.data import TrainingData
    from tunesmith.tune.events import Stepped
    from tunesmith.tune.fit import Objective, fit
    from tunesmith.tune.settings import TrainSettings

    task, backbone = Generation(), load_backbone(checkpoint)
    torch.manual_seed(seed)
    model = Model(backbone, task.head(backbone))
    apply_method(model, Lora(rank=RANK, alpha=float(ALPHA), targets=["query", "value"]))
    settings = TrainSettings(
        length="1 epochs",
        learning_rate=RATE,
        schedule="linear",
        warmup=0.0,
        weight_decay=0.0,
        clip=1.0,
        batch_size=BATCH,
        precision="fp32",
    )
    lessons = TrainingData(encodings=train, ids=[str(window.example) for window in train], seed=seed)
    steps = [event for event in fit(Objective(model, task), lessons, settings=settings) if isinstance(event, Stepped)]
    loss = -mean_likelihood(model, task, held)
    return sum(step.seconds for step in steps[1:]), sum(step.tokens for step in steps[1:]), loss


def peft(checkpoint, train, held, *, seed, best):
    """The same of peft under `Trainer`."""
    import time

    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        DataCollatorForSeq2Seq,
        PreTrainedTokenizerFast,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class Clock(TrainerCallback):
        begin = end = 0.0

        def on_step_end(self, args, state, control, **_):
            self.end = time.perf_counter()
            if state.global_step == 1:
                self.begin = self.end

    def dataset(encodings):
        labels = []
        for window in encodings:
            row = [-100] * len(window)
            for place, target in zip(window.places.tolist(), window.targets.tolist(), strict=True):
                row[place + 1] = target
            labels.append(row)
        return Dataset.from_dict({"input_ids": [w.input_ids.tolist() for w in encodings], "labels": labels})

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint.tokenizer_file), pad_token="<|im_end|>")
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(checkpoint.folder, dtype=torch.float32)
    base.config.use_cache = False
    wanted = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=list(TARGETS))
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=get_peft_model(base, wanted),
            args=TrainingArguments(
                output_dir=scratch,
                per_device_train_batch_size=BATCH,
                per_device_eval_batch_size=BATCH,
                num_train_epochs=1,
                learning_rate=RATE,
                lr_scheduler_type="linear",
                weight_decay=0.0,
                max_grad_norm=1.0,
                seed=seed,
                save_strategy="no",
                report_to=[],
                logging_steps=1000,
                disable_tqdm=True,
                use_cpu=True,
                **({"train_sampling_strategy": "group_by_length"} if best else {}),
            ),
            train_dataset=dataset(train),
            data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
            callbacks=[clock],
        )
        trainer.train()
    total, count = 0.0, 0
    trainer.model.eval()
    with torch.inference_mode():
        for window in held:
            logits = trainer.model(input_ids=torch.tensor(window.input_ids[None].astype("int64"))).logits[0]
            places, targets = torch.tensor(window.places.astype("int64")), torch.tensor(window.targets)
            total += float(torch.nn.functional.cross_entropy(logits[places], targets, reduction="sum"))
            count += len(targets)
    steps = -(-len(train) // BATCH)
    tokens = sum(map(len, train)) * (steps - 1) / steps  # which rows the first step had, nobody tells
    return clock.end - clock.begin, tokens, total / count


def one(options):
    """Measure one variant in this process."""
    checkpoint, train, held = windows(options.data, options.rows, options.held)
    watch = machine.Watch()
    if options.variant == "tunesmith":
        seconds, tokens, loss = tunesmith(checkpoint, train, held, seed=options.seed)
    else:
        seconds, tokens, loss = peft(checkpoint, train, held, seed=options.seed, best=options.variant == "peft_best")
    row = {"rows": len(train), "tokens_per_second": round(tokens / seconds, 1), "held_out_loss": round(loss, 4)}
    memory = {"peak_rss_mb": round(machine.peak_memory_mb()), "other_cores": watch.other_cores()}
    rounds.hand_over(row | memory | machine.facts())


def table(rows):
    """The newest run in words."""
    newest = [row for row in rows if row["run"] == rows[-1]["run"]]
    lines = [f"LoRA on starter:chat, tokens/s against peft and Trainer: the bar is {BAR}"]
    for variant in dict.fromkeys(row["variant"] for row in newest):
        own = [row for row in newest if row["variant"] == variant]
        ratio = rounds.spread(rounds.ratios(newest, variant, "peft", "tokens_per_second"))
        loss = statistics.median(row["held_out_loss"] for row in own)
        memory = rounds.spread([row["peak_rss_mb"] for row in own], 0)
        lines.append(f"{variant:10} ratio {ratio}  held-out loss {loss:.4f}  peak MB {memory}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--held", type=int, default=100)
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        for processor, rows in rounds.by_processor(rounds.read(options.out)).items():
            print(f"## {processor}\n\n{table(rows)}\n")
        return
    options.data = data_folder()
    if options.variant:
        one(options)
        return
    size = ["--rows", str(options.rows), "--held", str(options.held)]

    def commands(seed):
        own = {name: [*size, "--variant", name, "--seed", str(seed)] for name in VARIANTS}
        return {name: ["benchmarks.training.writing", *arguments] for name, arguments in own.items()}

    print(json.dumps(machine.facts()))
    found = []
    for row in rounds.interleaved(commands, rounds=options.rounds, log=options.out):
        found.append(row)
        print(
            {key: row[key] for key in ("seed", "variant", "tokens_per_second", "held_out_loss", "peak_rss_mb")},
            flush=True,
        )
    print(table(found))


if __name__ == "__main__":
    main()
