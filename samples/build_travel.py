"""Make the sample of messages to a travel desk from its hand-written source, and check the rules it promises to keep.

python samples/build_travel.py            write samples/travel_en/{train,dev,test}.jsonl
python samples/build_travel.py --check    exit 1 if a rule is broken or a written file differs from its source

`@ SPLIT INTENT` opens a block of the source; then comes one message a line with its slots as `[[slot:surface]]`.
"""

import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SOURCE = HERE / "sources" / "travel_en.txt"
SPLITS = ("train", "dev", "test")
INTENTS = ("book", "change", "cancel", "price", "timetable", "lost")
SLOTS = ("from", "to", "date", "time", "vehicle", "passengers", "reference")
MARK = re.compile(r"\[\[([a-z]+):([^\[\]]+)\]\]")
UNMARKED = re.compile(r"\b\d{1,2}:\d\d\b|\b(BK-|TD)\d{4}\b|\b\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)")


class Message(NamedTuple):
    """One line of the source: its number, where it belongs, and its text with marks."""

    line: int
    split: str
    intent: str
    marked: str

    def record(self, number: int) -> dict[str, object]:
        """The row: plain text with character offsets (end exclusive)."""
        text, entities, last = "", [], 0
        for mark in MARK.finditer(self.marked):
            text += self.marked[last : mark.start()]
            entities.append({"start": len(text), "end": len(text) + len(mark[2]), "label": mark[1]})
            text, last = text + mark[2], mark.end()
        own = {"id": f"travel-{self.split}-{number:03d}", "text": text + self.marked[last:]}
        return own | {"label": self.intent, "entities": entities}

    def pattern(self) -> str:
        """The message with its slots in place of what they say, without case and signs."""
        return " ".join(re.findall(r"\w+", MARK.sub(r" \1 ", self.marked).casefold()))


def messages() -> Iterator[Message]:
    """The messages of the source in order."""
    split = intent = ""
    for number, line in enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("@ "):
            _, split, intent = line.split()
        elif line and not line.startswith("#"):
            yield Message(number, split, intent, line)


def problems() -> Iterator[str]:
    """What breaks a rule: unknown names, broken or missing marks, a pattern that occurs twice, stale test values."""
    first: dict[str, int] = {}
    said: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for message in messages():
        marks = list(MARK.finditer(message.marked))
        outside = MARK.sub("", message.marked)
        if message.split not in SPLITS or message.intent not in INTENTS or {mark[1] for mark in marks} - {*SLOTS}:
            yield f"line {message.line}: an unknown split, intent or slot"
        if "[[" in outside or UNMARKED.search(outside) or any(mark[2] != mark[2].strip() for mark in marks):
            yield f"line {message.line}: a mark is broken or missing"
        if (known := first.setdefault(message.pattern(), message.line)) != message.line:
            yield f"line {message.line}: the same pattern as line {known}"
        said[message.split].update(mark[2] for mark in marks)
    new = sum(count for surface, count in said["test"].items() if surface not in said["train"])
    if new < 0.3 * said["test"].total():
        yield f"only {new} of {said['test'].total()} slot values in test are new"


def files() -> dict[Path, str]:
    """What each file of the sample must hold; the intents take turns, so that the first rows show all of them."""
    found = list(messages())
    written = {}
    for split in SPLITS:
        own = [[m for m in found if (m.split, m.intent) == (split, intent)] for intent in INTENTS]
        turns = [message for turn in itertools.zip_longest(*own) for message in turn if message is not None]
        rows = [json.dumps(message.record(number), ensure_ascii=False) for number, message in enumerate(turns, 1)]
        written[HERE / "travel_en" / f"{split}.jsonl"] = "".join(f"{row}\n" for row in rows)
    return written


def main() -> int:
    """Write the files, or check them."""
    faults = list(problems())
    for path, text in files().items():
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            faults.append(f"{path.name} is not what the source gives: run python samples/build_travel.py")
    sys.stdout.write("".join(f"{fault}\n" for fault in faults) or "the sample keeps its rules\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
