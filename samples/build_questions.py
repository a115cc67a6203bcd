"""Make the sample of questions from its hand-written source, and check the rules it promises to keep.

python samples/build_questions.py            write samples/questions_en/{train,dev,test}.jsonl
python samples/build_questions.py --check    exit 1 if a rule is broken or a written file differs from its source

A block of the source begins with `== SPLIT NAME`, then comes the text, then one `question | answer` a line, with `-`
where the text holds no answer.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "sources" / "questions_en.txt"
SPLITS = ("train", "dev", "test")
NONE = "-"


def rows() -> Iterator[tuple[str, dict[str, object]]]:
    """Every question with its split, its place in the source in `id`."""
    split = title = text = ""
    for number, line in enumerate(SOURCE.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("== "):
            _, split, title = line.split()
            text = ""
        elif not text:
            text = line
        else:
            question, answer = line.split(" | ")
            answers = [] if answer == NONE else [{"text": answer, "start": text.find(answer)}]
            record = {"id": f"{title}-{number}", "title": title, "context": text, "question": question}
            yield split, record | {"answers": answers}


def problems() -> Iterator[str]:
    """What breaks a rule: an answer that does not stand exactly once in its text, and a question asked twice."""
    asked: set[tuple[str, str]] = set()
    for split, row in rows():
        text, question = str(row["context"]), str(row["question"])
        if split not in SPLITS:
            yield f"{row['id']}: there is no split {split!r}"
        if (text, question) in asked:
            yield f"{row['id']}: asked twice"
        asked.add((text, question))
        for answer in row["answers"]:  # type: ignore[attr-defined]
            if (count := text.count(answer["text"])) != 1:
                yield f"{row['id']}: {answer['text']!r} stands {count} times in the text"


def files() -> dict[Path, str]:
    """What each file of the sample must hold."""
    found = list(rows())
    return {
        HERE / "questions_en" / f"{split}.jsonl": "".join(
            f"{json.dumps(row, ensure_ascii=False)}\n" for own, row in found if own == split
        )
        for split in SPLITS
    }


def main() -> int:
    """Write the files, or check them."""
    faults = list(problems())
    for path, text in files().items():
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            faults.append(f"{path.name} is not what the source gives: run python samples/build_questions.py")
    sys.stdout.write("".join(f"{fault}\n" for fault in faults) or "the sample keeps its rules\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
