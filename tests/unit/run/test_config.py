import json
from pathlib import Path

import pytest

from tunesmith.core.errors import ConfigError, MissingInputError
from tunesmith.run.config import origins, overlaid, overridden, parsed, read_config, require_files
from tunesmith.run.leaves import leaves

TABLE = {"data": {"train": "rows.csv", "text": "body"}, "task": {"kind": "text_classification"}}


def test_a_configuration_names_data_and_nothing_more() -> None:
    config = parsed({"data": {"train": "rows.csv"}}, folder=Path("/x"))
    assert config.backbone == "starter:english"
    assert config.method.kind() == "full"
    assert config.task is None
    assert config.path("rows.csv") == Path("/x/rows.csv")


def test_the_resolved_configuration_reads_back_as_itself() -> None:
    config = parsed({**TABLE, "method": {"kind": "lora", "rank": 4}}, folder=Path())
    table = json.loads(json.dumps(config.as_table()))
    assert parsed(table, folder=Path()).as_table() == config.as_table()


def test_format_options_stand_in_data() -> None:
    assert parsed(TABLE, folder=Path()).data.options == {"text": "body"}


def test_set_beats_the_file_and_the_origin_is_recorded() -> None:
    table = overridden(TABLE, ["train.length=500 steps", "train.accumulate=2", "method=lora", "data.text=title"])
    config = parsed(table, folder=Path())
    assert (config.train.length, config.train.accumulate) == ("500 steps", 2)
    assert config.data.options == {"text": "title"}
    found = origins(config.as_table(), TABLE, ["train.length=500 steps", "data.text=title"])
    assert found["train.length"] == "flag"
    assert found["data.text"] == "flag"
    assert found["data.train"] == "file"
    assert found["train.warmup"] == "default"
    assert TABLE["data"]["text"] == "body", "the file's own table must not change"


def test_a_key_of_a_kind_can_be_set_where_only_the_kind_was_named() -> None:
    table = overridden({**TABLE, "method": "lora"}, ["method.rank=2"])
    assert parsed(table, folder=Path()).method.as_table()["rank"] == 2


def test_trackers_are_set_as_a_list_of_kinds_or_tables_and_decide_no_result() -> None:
    config = parsed(overridden(TABLE, ['trackers=["console", {kind = "mlflow", experiment = "x"}]']), folder=Path())
    assert [tracker["kind"] for tracker in config.as_table()["trackers"]] == ["console", "mlflow"]
    assert parsed(config.as_table(), folder=Path()) == config
    assert "trackers" not in config.result_table()


def test_overlaid_goes_as_deep_as_both_are_tables() -> None:
    assert overlaid({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}, "d": 4}) == {"a": {"b": 1, "c": 3}, "d": 4}


def test_leaves_are_dotted() -> None:
    assert dict(leaves({"a": {"b": 1}, "c": [{"d": 2}], "e": []})) == {"a.b": 1, "c.0.d": 2, "e": []}


@pytest.mark.parametrize(
    "table, key",
    [
        ({"data": {"train": 3}}, "data.train"),
        ({"data": "rows.csv"}, "data"),
        ({**TABLE, "regularizers": {"kind": "r_drop"}}, "regularizers"),
        ({**TABLE, "regularizers": [{"kind": "r_drop", "wieght": 1.0}]}, "regularizers.0.wieght"),
        ({**TABLE, "trackers": {"kind": "console"}}, "trackers"),
        ({**TABLE, "trackers": ["console", {"kind": "wandb", "offline": True}]}, "trackers.1.offline"),
        ({**TABLE, "method": {"rank": 4}}, "method.kind"),
        ({**TABLE, "seed": True}, "seed"),
    ],
)
def test_a_mistake_is_named_by_its_key(table: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(table, folder=Path())
    assert str(caught.value.place) == key


def test_missing_files_are_named_by_their_key(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"data\.train"):
        require_files(parsed(TABLE, folder=tmp_path))
    with pytest.raises(MissingInputError):
        read_config(tmp_path / "nowhere.toml")


def test_paths_follow_the_configuration_or_the_given_folder(tmp_path: Path) -> None:
    file = tmp_path / "a" / "run.toml"
    file.parent.mkdir()
    file.write_text('[data]\ntrain = "rows.csv"\n', encoding="utf-8")
    assert read_config(file).path("rows.csv") == file.parent / "rows.csv"
    assert read_config(file, data=tmp_path).path("rows.csv") == tmp_path / "rows.csv"
