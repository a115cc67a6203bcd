"""`tunesmith init`: what it finds, what it writes, what it refuses; the configuration it writes is read back."""

import json
import tomllib

import pytest
import typer
from typer.testing import CliRunner

from tunesmith.cli.init import init
from tunesmith.core.errors import CannotCreateError, ConfigError, DataError, MissingInputError
from tunesmith.prepare.reading import detect

app = typer.Typer()
app.command()(init)

ROWS = "".join(f"this is message {i},{('order', 'refund')[i % 2]}\n" for i in range(20))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def config(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 12, "guesses end there"
    return tomllib.loads(text)


def test_a_folder_of_splits(place):
    for name in ("train.csv", "valid.csv", "test.csv"):
        (place / name).write_text(f"text,label\n{ROWS}")
    (place / "README.md").write_text("about")
    output = run(".", "--out", "mine.toml")
    made = config(place / "mine.toml")
    assert made["data"] | {"train": "train.csv", "dev": "valid.csv", "test": "test.csv"} == made["data"]
    assert (made["backbone"], made["task"]) == ("starter:english", {"kind": "text_classification"})
    assert "tunesmith audit mine.toml" in output and "tunesmith train mine.toml" in output


def test_each_guess_has_its_reason(place):
    (place / "data.csv").write_text(f"text,label\n{ROWS}")
    run("data.csv")
    lines = (place / "data.toml").read_text().splitlines()
    assert all("#" in line for line in lines if line != "[data]")


def test_what_it_writes_reads_the_data_the_same_way(place):
    (place / "data.csv").write_text(f"text,label\n{ROWS}")
    run("data.csv")
    data = config(place / "data.toml")["data"]
    options = {key: value for key, value in data.items() if key not in ("train", "dev", "test", "skip_bad")}
    again = detect(place / data["train"], given=options | {"task": "text_classification"})
    assert again.format == detect(place / "data.csv").format


def test_chinese_text_gets_the_multilingual_starter(place):
    (place / "a.jsonl").write_text(
        '{"text": "我的订单还没有到", "label": "订单"}\n{"text": "我要退款", "label": "退款"}\n'
    )
    run("a.jsonl")
    assert config(place / "a.toml")["backbone"] == "starter:multilingual"


def test_remedies_for_bad_rows_stand_in_the_file(place):
    spans = [{"start": 0, "end": 4, "label": "A"}, {"start": 2, "end": 6, "label": "B"}]
    good = json.dumps({"text": "Anna lives here", "entities": spans[:1]})
    rows = [good] * 30 + [json.dumps({"text": "Anna lives here", "entities": spans}), '{"text": "", "entities": []}']
    (place / "a.jsonl").write_text("\n".join(rows))
    output = run("a.jsonl")
    data = config(place / "a.toml")["data"]
    assert (data["overlaps"], data["skip_bad"]) == ("longest", True)
    assert "TS-DATA-015" in output
    (place / "b.conll").write_text("a B-X\nb O\nc I-X\n\n" + "d B-X\ne O\n\n" * 5)
    run("b.conll")
    assert config(place / "b.toml")["data"]["transitions"] == "repair"


def test_questions_and_answers_that_are_not_in_their_text(place):
    rows = [{"context": f"Anna has {n} cats.", "question": "How many?", "answers": [str(n)]} for n in range(30)]
    stray = [{"text": "9", "start": 9}, {"text": "ten", "start": -1}]
    rows.append({"context": "Anna has 9 cats.", "question": "Well?", "answers": stray})
    rows.append({"context": "Anna has cats.", "question": "How many?", "answers": []})
    (place / "q.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    output = run("q.jsonl")
    assert "extractive_qa" in output and "answer (30), no answer (1)" in output
    found = config(place / "q.toml")
    assert found["task"] == {"kind": "extractive_qa"}
    expected = {"text": "context", "pair": "question", "answers": "answers", "stray": "drop"}
    assert found["data"].items() >= expected.items()


def test_splits_inside_one_file(place):
    rows = ROWS.replace("\n", ",train\n", 16).replace("order\n", "order,test\n").replace("refund\n", "refund,test\n")
    (place / "a.csv").write_text(f"text,label,split\n{rows}")
    run("a.csv")
    data = config(place / "a.toml")["data"]
    assert (data["train"], data["test"]) == ("a.csv#train", "a.csv#test")


def test_conll_names_and_files_that_do_not_fit(place):
    for name in ("eng.train", "eng.testa", "eng.testb"):
        (place / name).write_text("Anna I-PER\nsings O\n\n" * 5)
    run(".", "--out", "ner.toml")
    data = config(place / "ner.toml")["data"]
    assert (data["train"], data["dev"], data["test"]) == ("eng.train", "eng.testa", "eng.testb")
    (place / "eng.testb").write_text("")
    record = json.loads(run(".", "--out", "ner.toml", "--force", "--json"))
    assert "test" not in record["files"] and "empty" in record["left_out"][0]


def test_options_and_json(place):
    rows = [f"{row},{'good' if index < 10 else 'bad'}" for index, row in enumerate(ROWS.splitlines())]
    (place / "a.csv").write_text("\n".join(["text,label,mood", *rows]))
    record = json.loads(run("a.csv", "--set", "data.label=mood", "--task", "text_classification", "--json"))
    assert record["labels"] == {"good": 10, "bad": 10}
    assert record["next"] == ["tunesmith audit a.toml", "tunesmith train a.toml"]
    assert config(place / "a.toml")["data"]["label"] == "mood"


def test_refusals(place):
    with pytest.raises(MissingInputError):
        run("none.csv")
    (place / "empty").mkdir()
    with pytest.raises(DataError, match="no training file"):
        run("empty")
    (place / "a.csv").write_text(f"text,label\n{ROWS}")
    with pytest.raises(ConfigError, match="did you mean 'label'"):
        run("a.csv", "--set", "lable=text")
    run("a.csv")
    before = (place / "a.toml").read_bytes()
    with pytest.raises(CannotCreateError) as caught:
        run("a.csv", "--task", "text_classification")
    assert caught.value.exit_code == 73 and (place / "a.toml").read_bytes() == before
    with pytest.raises(CannotCreateError):
        run("a.csv", "--out", "nowhere/a.toml")


def test_a_cloze_is_read_as_texts_with_labels_and_gets_a_backbone_that_writes(place):
    (place / "rows.csv").write_text(f"text,label\n{ROWS}")
    run("rows.csv", "--task", "cloze_classification")
    made = config(place / "rows.toml")
    assert (made["backbone"], made["task"]) == ("starter:chat", {"kind": "cloze_classification"})


PATHS = "text,label\n" + "".join(
    f"{text} {number},{label}\n"
    for number in range(3)
    for text, label in (("late", "parcel/late"), ("lost", "parcel/lost"), ("twice", "bill/twice"), ("why", "bill/why"))
)


def test_labels_that_are_paths_are_noticed_and_the_guess_stays(place):
    (place / "rows.csv").write_text(PATHS)
    run("rows.csv")
    assert config(place / "rows.toml")["task"] == {"kind": "text_classification"}
    assert """"hierarchical_classification" reads them as paths with '/'""" in (place / "rows.toml").read_text()
    run("rows.csv", "--task", "hierarchical_classification", "--force")
    assert config(place / "rows.toml")["task"] == {"kind": "hierarchical_classification"}
    (place / "rows.csv").write_text(PATHS.replace("/", "::"))
    run("rows.csv", "--task", "hierarchical_classification", "--force")
    assert config(place / "rows.toml")["task"] == {"kind": "hierarchical_classification", "separator": "::"}


def test_other_labels_are_not_taken_for_paths(place):
    (place / "rows.csv").write_text(PATHS.replace("/", "_"))
    run("rows.csv")
    assert "hierarchical" not in (place / "rows.toml").read_text()
    several = [{"text": f"t {n}", "labels": ["a/x", "b/y"] if n % 2 else ["a/y", "b/x"]} for n in range(8)]
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, several)))
    run("rows.jsonl", "--force")
    assert "hierarchical" not in (place / "rows.toml").read_text()
