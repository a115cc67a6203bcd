"""Make the sample data from the hand-written sources, and check every rule the samples promise to keep.

python samples/build.py            write samples/support_{en,zh}/{train,dev,test}.jsonl
python samples/build.py --check    exit 1 if a rule is broken or a written file differs from its source
"""

import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SPLITS = ("train", "dev", "test")
INTENTS = (
    "refund_request",
    "order_status",
    "address_change",
    "technical_problem",
    "cancel_subscription",
    "billing_question",
    "product_question",
    "complaint",
)
ENTITIES = ("ORDER_ID", "PRODUCT", "DATE", "AMOUNT", "LOCATION", "PERSON")
LEAST = {"en": 360, "zh": 200}
MARK = re.compile(r"\[\[([A-Z_]+):([^\[\]]+)\]\]")
MUST_BE_MARKED = {
    "en": (
        r"\b(?:to(?:day|morrow)|yesterday|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day)\b",
        r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)\b",
        r"[$£€]\d|\d (?:euros|pounds|dollars)\b",
        r"\b[A-Z]{1,3}-\d{3}",
    ),
    "zh": (r"[今明昨]天|(?:上|下)?周[一二三四五六日]", r"\d+(?:元|块)", r"\d+月\d+日", r"[A-Z]{2}\d{4}"),
}
SHARED_RUN = {"en": 6, "zh": 10}
"""A run of this many words (characters) may not occur in two splits."""


@dataclass(frozen=True)
class Message:
    """One hand-written line: `marked` carries [[LABEL:surface]], `place` is file:line."""

    place: str
    split: str
    intent: str
    marked: str

    def record(self, number: int, language: str) -> dict[str, object]:
        """The JSONL row: plain text with character offsets (end exclusive)."""
        text, entities, last = "", [], 0
        for mark in MARK.finditer(self.marked):
            text += self.marked[last : mark.start()]
            entities.append({"start": len(text), "end": len(text) + len(mark[2]), "label": mark[1]})
            text += mark[2]
            last = mark.end()
        text += self.marked[last:]
        return {
            "id": f"{language}-{self.split}-{number:03d}", "text": text, "label": self.intent, "entities": entities,
        }  # fmt: skip

    def skeleton(self) -> list[str]:
        """The sentence without case, punctuation and what entities and digits say: words, or Chinese characters."""
        plain = re.sub(r"\d+", "0", MARK.sub(lambda mark: f" {mark[1]} ", self.marked)).casefold()
        return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", plain)


def read(language: str) -> list[Message]:
    """The messages of one source file in order."""
    file = HERE / "sources" / f"support_{language}.txt"
    found, split, intent = [], "", ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("@ "):
            _, split, intent = line.split()
        elif line and not line.startswith("#"):
            found.append(Message(f"{file.name}:{number}", split, intent, line))
    return found


def interleaved(messages: Iterable[Message], split: str) -> list[Message]:
    """The messages of a split, the intents taking turns, so that the first rows of a file show all of them."""
    own = [[m for m in messages if (m.split, m.intent) == (split, intent)] for intent in INTENTS]
    return [message for turn in itertools.zip_longest(*own) for message in turn if message is not None]


def rows(language: str, split: str) -> str:
    """The text of one JSONL file."""
    records = [m.record(number, language) for number, m in enumerate(interleaved(read(language), split), 1)]
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)


def faults(language: str) -> list[str]:
    """Every broken rule, with the line of the source."""
    messages = read(language)
    found = [fault for message in messages for fault in _line_faults(message, language)]
    if len(messages) < LEAST[language]:
        found.append(f"only {len(messages)} messages, at least {LEAST[language]} wanted")
    return (
        found + _repeated_skeletons(messages) + _shared_runs(messages, SHARED_RUN[language]) + _seen_surfaces(messages)
    )


def _line_faults(message: Message, language: str) -> list[str]:
    outside = MARK.sub("\0", message.marked)
    found = [
        f"{message.place}: unmarked {hit[0]!r}" for p in MUST_BE_MARKED[language] if (hit := re.search(p, outside))
    ]
    if "[[" in outside or "]]" in outside:
        found.append(f"{message.place}: broken markup")
    if message.split not in SPLITS or message.intent not in INTENTS:
        found.append(f"{message.place}: unknown block {message.split} {message.intent}")
    for mark in MARK.finditer(message.marked):
        if mark[1] not in ENTITIES or mark[2] != mark[2].strip():
            found.append(f"{message.place}: bad entity {mark[0]}")
    return found


def _repeated_skeletons(messages: list[Message]) -> list[str]:
    first: dict[tuple[str, ...], str] = {}
    found = []
    for message in messages:
        skeleton = tuple(message.skeleton())
        if skeleton in first:
            found.append(f"{message.place}: same sentence pattern as {first[skeleton]}")
        first.setdefault(skeleton, message.place)
    return found


def _shared_runs(messages: list[Message], length: int) -> list[str]:
    home: dict[tuple[str, ...], Message] = {}
    found = []
    for message in messages:
        words = message.skeleton()
        for run in zip(*(words[i:] for i in range(length)), strict=False):
            other = home.setdefault(run, message)
            if other.split != message.split:
                found.append(f"{message.place}: {' '.join(run)!r} is also in {other.place}")
    return found


def _seen_surfaces(messages: list[Message]) -> list[str]:
    surfaces = {s: Counter(m[2] for g in messages if g.split == s for m in MARK.finditer(g.marked)) for s in SPLITS}
    unseen = sum(count for surface, count in surfaces["test"].items() if surface not in surfaces["train"])
    share = unseen / max(1, surfaces["test"].total())
    return [] if share > 0.3 else [f"only {share:.0%} of the test entities are new"]


def main() -> int:
    """Write, or check."""
    broken = 0
    for language in LEAST:
        for fault in faults(language):
            sys.stdout.write(f"{fault}\n")
            broken = 1
        for split in SPLITS:
            file = HERE / f"support_{language}" / f"{split}.jsonl"
            text = rows(language, split)
            if "--check" not in sys.argv:
                file.parent.mkdir(exist_ok=True)
                file.write_text(text, encoding="utf-8", newline="\n")
            elif not file.is_file() or file.read_bytes() != text.encode():
                sys.stdout.write(f"{file}: differs from its source, run python samples/build.py\n")
                broken = 1
    return broken


if __name__ == "__main__":
    sys.exit(main())
