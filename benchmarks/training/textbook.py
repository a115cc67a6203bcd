"""The loop of many tutorials: every sentence padded to 128 and tokenised when it is fetched, fp32, torch's AdamW.

Tokenising is inside the clock, as it is in that loop. What such tutorials get wrong is put right, since speed is the
question here: labels stand on first sub-words, the rate falls, gradients are clipped, decay is 0 as for the others.
"""

import torch
from benchmarks.training.measured import Measured, Stopwatch
from benchmarks.training.peer import answers_of, model_for, tag_targets
from benchmarks.training.recipe import BATCH, CLIP, HELD_BATCH, LENGTH, backbone_folder, rate
from torch.utils.data import DataLoader, Dataset
from transformers import AutoTokenizer


class Sentences(Dataset):
    """One sentence at a time, tokenised anew at each access."""

    def __init__(self, rows, labels, tokenizer):
        self.rows, self.labels, self.tokenizer = rows, labels, tokenizer

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        encoding = self.tokenizer(
            list(row.words),
            is_split_into_words=True,
            padding="max_length",
            truncation=True,
            max_length=LENGTH,
            return_tensors="pt",
        )
        return {
            "input_ids": encoding["input_ids"][0],
            "attention_mask": encoding["attention_mask"][0],
            "labels": torch.tensor(tag_targets(row.gold, encoding.word_ids(0), self.labels)),
        }


def measure(task, data, *, epochs, seed):
    """Train on `data.train`, answer `data.held`; entities only."""
    if task != "ner":
        raise SystemExit("the textbook loop is written for entities: --task ner")
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder())
    torch.manual_seed(seed)
    model = model_for(task, data.labels)
    loader = DataLoader(Sentences(data.train, data.labels, tokenizer), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate(task, lora=False), weight_decay=0.0)
    total = epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / total))
    model.train()
    watch = Stopwatch()
    for _ in range(epochs):
        for batch in loader:
            optimizer.zero_grad()
            model(**batch).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
        watch.lap()
    spent = watch.spent()
    encodings = tokenizer(
        [list(row.words) for row in data.train], is_split_into_words=True, truncation=True, max_length=LENGTH
    )
    return Measured(
        spent=spent,
        lengths=[len(ids) for ids in encodings["input_ids"]],
        precision="fp32",
        answers=_answers(model, Sentences(data.held, data.labels, tokenizer), data.labels),
    )


@torch.inference_mode()
def _answers(model, held, labels):
    model.eval()
    answers = []
    for batch in DataLoader(held, batch_size=HELD_BATCH):
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        answers += answers_of("ner", logits.numpy(), batch["labels"].numpy(), labels)
    return answers
