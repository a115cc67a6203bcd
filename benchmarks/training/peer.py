"""What the peers share: the model, and the way from rows to features and back, as the examples of transformers have it.

Nothing of ours is imported here, so that a peer's process carries the weight of the peer alone.
"""

import torch
from benchmarks.training.recipe import LENGTH, backbone_folder
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification


def encoded(task, rows, labels, tokenizer):
    """Rows as the examples of transformers encode them; for tags, the first sub-word of a word carries its tag."""
    texts = [list(row.words) if row.words else row.text for row in rows]
    pairs = [row.pair for row in rows] if task == "pairs" else None
    batch = tokenizer(texts, pairs, is_split_into_words=task == "ner", truncation=True, max_length=LENGTH)
    batch["labels"] = [_target(task, row, labels, batch.word_ids(index)) for index, row in enumerate(rows)]
    return dict(batch)


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
