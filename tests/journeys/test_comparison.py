"""Methods side by side from the command line, and the page that shows them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

METHODS = ("full", "adapter")
TEXTS = [pair for n in range(40) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]


def write(folder: Path, backbone: Path) -> Path:
    """Rows and a configuration for them."""
    rows = [json.dumps({"text": text, "label": label}) for text, label in TEXTS]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    config = folder / "desk.toml"
    config.write_text(
        f'backbone = "{backbone}"\n[data]\ntrain = "rows.jsonl"\n[task]\nkind = "text_classification"\n'
        '[train]\nlength = "3 epochs"\nprecision = "fp32"\nlearning_rate = 3e-3\nthreads = 1\n',
        encoding="utf-8",
    )
    return config


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves its runs for the others."""
    return tmp_path_factory.mktemp("kept") / "all"


@pytest.fixture
def compared(tunesmith: Any, tmp_path: Path, tiny_bert_folder: Path, kept: Path) -> Path:
    """A folder with two methods, two seeds each."""
    if not kept.exists():
        small = '{kind = "adapter", size = 2, placement = "houlsby", learning_rate = 0.02}'
        words = ("compare", write(tmp_path, tiny_bert_folder), "--methods", ",".join(METHODS), "--seeds", 2)
        words += ("--variant", f"small={small}")
        done = tunesmith(*words, "--out", tmp_path / "desk")
        assert done.code == 0 and "mean over seeds" in done.out and "the best baseline" in done.out
        assert done.err.count(": finished") == 6
        again = tunesmith(*words, "--out", tmp_path / "desk")
        assert again.out == done.out and again.err.count("(done before)") == 6
        shutil.copytree(tmp_path / "desk", kept)
    return kept


def test_every_method_has_a_row_and_the_advice_is_one_of_them(compared: Path) -> None:
    record = json.loads((compared / "compare.json").read_text(encoding="utf-8"))
    assert {row["method"] for row in record["methods"]} == {*METHODS, "small"}
    trained = {row["method"]: row["trained_parameters"] for row in record["methods"]}
    assert trained["small"] < trained["adapter"] < trained["full"]
    assert all(row["seeds"] == [0, 1] for row in record["methods"])
    assert {choice["take"] for choice in record["advice"]} <= {*METHODS, "small"}
    assert record["missing"] == {}
    assert {path.name for path in compared.iterdir() if path.is_dir()} == {
        f"{m}-seed{s}" for m in (*METHODS, "small") for s in (0, 1)
    }


@pytest.mark.parametrize("width, dark", [(360, False), (1200, True)])
def test_the_page_is_quiet_and_fits(visit: Callable[..., Any], compared: Path, width: int, dark: bool) -> None:
    seen = visit(compared / "compare.html", width=width, dark=dark, zh=dark)
    assert seen.overflow() <= 0
    assert seen.page.locator("figure.chart svg").count() == 3
    assert seen.page.locator("#advice h2").inner_text() == ("如何选择" if dark else "Which to take")
    seen.page.locator("#cost th button").nth(1).click()
    counts = seen.page.locator("#cost tbody tr > :nth-child(2)").all_inner_texts()
    numbers = [int(text.replace(",", "")) for text in counts]
    assert numbers == sorted(numbers, reverse=True)
    seen.close()


def test_what_is_wrong_is_said_before_anything_is_trained(
    tunesmith: Any, tmp_path: Path, tiny_bert_folder: Path
) -> None:
    config = write(tmp_path, tiny_bert_folder)
    for words, code, said in (
        (("--methods", "full,lro"), 78, "lora"),
        (("--methods", "lora,lora"), 2, "TS-CLI-005"),
        (("--methods", ""), 2, "TS-CLI-005"),
        (("--variant", "wide"), 2, "TS-CLI-008"),
        (("--variant", "lora={kind='lora'}"), 2, "TS-CLI-008"),
        (("--variant", "../wide={kind='lora'}"), 2, "TS-CLI-008"),
        (("--variant", "wide={kind='lora', rnk=2}"), 78, "did you mean"),
        (("--seeds", 0), 2, ""),
        (("--set", "train.lenght=3"), 78, "length"),
        (("--set", "data.train=none.jsonl"), 66, "none.jsonl"),
    ):
        done = tunesmith("compare", config, *words, "--out", tmp_path / "runs")
        assert done.code == code and said in done.err, words
    assert not (tmp_path / "runs").exists()


def test_a_method_that_does_not_fit_leaves_the_others(tunesmith: Any, tmp_path: Path, tiny_bert_folder: Path) -> None:
    config = write(tmp_path, tiny_bert_folder)
    words = (
        "--methods",
        "head_only,layer_freeze",
        "--seeds",
        1,
        "--set",
        "method.kind=layer_freeze",
        "--set",
        "method.top=3",
    )
    done = tunesmith("compare", config, *words, "--out", tmp_path / "runs", "--json")
    assert done.code == 1
    record = json.loads(done.out)
    assert [row["method"] for row in record["methods"]] == ["head_only"]
    assert "this backbone has 2" in record["missing"]["layer_freeze, seed 0"]
