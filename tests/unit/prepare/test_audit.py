from dataclasses import replace

from tunesmith.core.example import Example, Gold, Source, Span
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.audit import AuditReport, Section, audit
from tunesmith.tasks.token_classification import TokenClassification


def row(text: str, gold: Gold, *, line: int, file: str = "train.jsonl") -> Example:
    return Example(id=f"{file}:{line}", text=text, gold=gold, source=Source(file, line))


def rows(file: str, texts: list[tuple[str, Gold]]) -> list[Example]:
    return [row(text, gold, line=number, file=file) for number, (text, gold) in enumerate(texts, start=1)]


def section(report: AuditReport, title: str) -> Section:
    return next(item for item in report.sections if item.title == title)


CLEAN = [(f"message number {n} about {label}", label) for n in range(20) for label in ("cards", "loans")]


def test_clean_data_are_found_clean() -> None:
    report = audit({"train": rows("a", CLEAN[:30]), "test": rows("b", CLEAN[30:])})
    assert report.status == "ok"


def test_duplicates_conflicts_and_leaks_name_their_lines() -> None:
    train = rows("a", [*CLEAN[:30], ("Lost my card", "cards"), ("lost  my CARD", "cards"), ("Lost my card", "loans")])
    test = rows("b", [("LOST my card", "cards"), *CLEAN[30:]])
    report = audit({"train": train, "test": test})
    assert section(report, "Exact duplicates").rows[0]["again on line"] == "32, 33"
    assert section(report, "Conflicting labels").rows[0]["lines"] == "31, 32, 33"
    assert section(report, "Conflicting labels").rows[0]["labels"] == "cards / loans"
    assert section(report, "Leaks between splits").rows[0] == {
        "split": "test", "line": "b:1", "in train": "a:31", "text": "LOST my card"
    }  # fmt: skip
    assert section(report, "Leaks between splits").status == "fail"


def test_a_pair_is_a_duplicate_only_as_a_pair() -> None:
    first = replace(row("a", "same", line=1), pair="b")
    second = replace(row("a", "same", line=2), pair="c")
    assert section(audit({"train": [first, second]}), "Exact duplicates").status == "ok"


def test_rare_and_unseen_labels_are_told() -> None:
    report = audit({"train": rows("a", [*CLEAN, ("odd one", "rare")]), "test": rows("b", [("what", "never")])})
    assert "1 label(s) have fewer than 5" in section(report, "Balance").summary
    assert section(report, "Labels unseen in training").rows[0]["label"] == "never"


def test_an_empty_split_fails() -> None:
    assert section(audit({"train": rows("a", CLEAN), "dev": []}), "Counts").status == "fail"


def test_chinese_text_under_an_english_backbone_names_the_remedy() -> None:
    chinese = rows("a", [(f"我的订单{n}还没有到，请帮我查一下", "order") for n in range(6)])
    report = audit({"train": chinese}, english_only=True)
    assert section(report, "Language").status == "fail"
    assert "starter:multilingual" in section(report, "Language").summary
    assert section(audit({"train": chinese}), "Language").status == "ok"


def test_lengths_count_special_tokens_and_the_tasks_own_window(tiny_tokenizer: Tokenizer) -> None:
    text = " ".join(["card"] * (tiny_tokenizer.room))
    fits = section(audit({"train": rows("a", [(text, "x")])}, tokenizer=tiny_tokenizer), "Length")
    assert (fits.status, fits.summary) == (
        "ok",
        f"longest text {tiny_tokenizer.max_length} tokens, window {tiny_tokenizer.max_length}",
    )
    longer = audit({"train": rows("a", [(f"{text} card", "x")])}, tokenizer=tiny_tokenizer)
    assert "1 text(s) exceed" in section(longer, "Length").summary
    own = audit({"train": rows("a", [("card card card", "x")])}, tokenizer=tiny_tokenizer, max_length=4)
    assert "window of 4 tokens" in section(own, "Length").summary


def test_a_pair_that_does_not_fit_is_said_to_be_cut(tiny_tokenizer: Tokenizer) -> None:
    half = " ".join(["card"] * (tiny_tokenizer.max_length // 2))
    pair = replace(row(half, 1.0, line=1), pair=half)
    found = section(audit({"train": [pair]}, tokenizer=tiny_tokenizer), "Length")
    assert found.status == "warn" and "1 pair(s)" in found.summary and "CUT" in found.summary


def test_texts_with_entities_are_measured_in_the_units_that_the_task_reads(tiny_tokenizer: Tokenizer) -> None:
    text = " ".join(["card"] * (tiny_tokenizer.room // 4 + 1))
    task = TokenClassification(labels=["CARD"], units="characters")
    entity = row(text, (Span(0, 4, "CARD"),), line=1)
    assert len(task.encode([entity], tiny_tokenizer)) > 1
    found = section(audit({"train": [entity]}, tokenizer=tiny_tokenizer, level=task.level), "Length")
    assert "1 text(s) exceed" in found.summary
