"""An adapter under the one that is trained: folded in, and refused on a backbone it was not trained on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tunesmith.bundle.join import prove_written
from tunesmith.bundle.joined_predictor import JoinedPredictor, Questions
from tunesmith.bundle.predictor import Predictor, as_example
from tunesmith.core.errors import ConfigError, MissingInputError, ModelFileError
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished
from tunesmith.run.folder import opened
from tunesmith.run.joining import joined
from tunesmith.run.train import run

Train = Callable[..., Path]


@pytest.fixture
def trained(tiny_bert_folder: Path, tmp_path: Path) -> Train:
    """`trained(name, method="lora", adapters=[...])`: the folder of a finished run of seconds."""
    rows = [{"text": f"my card {n} is {word}", "label": word} for n in range(20) for word in ("lost", "good")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def train(name: str, *, method: str = "lora", backbone: Path = tiny_bert_folder, adapters: object = ()) -> Path:
        table = {
            "backbone": str(backbone),
            "adapters": list(adapters) if isinstance(adapters, list | tuple) else adapters,
            "data": {"train": "rows.jsonl"},
            "task": {"kind": "text_classification"},
            "method": {"kind": method},
            "train": {"length": "2 epochs", "learning_rate": 0.02, "precision": "fp32", "threads": 1},
        }
        *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / name, resume=False), origins={})
        assert isinstance(last, Finished)
        return tmp_path / name

    return train


def encoder(run_folder: Path) -> dict[str, object]:
    state = load_file(run_folder / "bundle" / "model.safetensors")
    return {name: tensor for name, tensor in state.items() if ".encoder." in name}


def test_an_adapter_lies_under_what_is_trained_on_top_of_it(trained: Train) -> None:
    domain = trained("domain")
    above = trained("above", method="head_only", adapters=["domain"])
    assert_close(encoder(above), encoder(domain))
    manifest = json.loads((above / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["base"]["name"].endswith("domain/adapter")
    third = trained("third", adapters=["domain/adapter"])
    trained("fourth", method="head_only", adapters=["domain", str(third)])


def test_an_adapter_of_another_backbone_is_refused_by_its_hash(
    trained: Train, tiny_bert_folder: Path, tmp_path: Path
) -> None:
    trained("domain")
    other = Path(shutil.copytree(tiny_bert_folder, tmp_path / "other"))
    state = load_file(other / "model.safetensors")
    save_file({name: tensor * 1.5 for name, tensor in state.items()}, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelFileError, match="trained on another backbone") as caught:
        trained("wrong", backbone=other, adapters=["domain"])
    assert caught.value.code == "TS-METHOD-016" and caught.value.place is not None
    task = trained("task", adapters=["domain"])
    with pytest.raises(ModelFileError, match="trained on another backbone"):
        trained("bare", adapters=[str(task)])


def test_folders_that_hold_no_update_are_refused(trained: Train) -> None:
    prompt = trained("prompt", method="prefix")
    with pytest.raises(ModelFileError, match="alone can be folded in"):
        trained("above", adapters=[str(prompt)])
    with pytest.raises(MissingInputError):
        trained("absent", adapters=["nowhere"])
    with pytest.raises(ConfigError, match="array of folders"):
        trained("word", adapters="domain")


def test_runs_on_top_of_one_adapter_stand_side_by_side(
    trained: Train, tiny_bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backbone that they share holds the adapter; without it they have none in common."""
    monkeypatch.setattr("tunesmith.run.joining._proved", prove_written)
    domain = trained("domain")
    runs = [str(trained(name, method=name, adapters=["domain"])) for name in ("lora", "prefix")]
    joined(runs, out=tmp_path / "desk")
    desk, example = JoinedPredictor.load(tmp_path / "desk"), as_example("my card 3 is lost", 1)
    together = desk.answer([Questions(name, [example]) for name in desk.adapters])
    for answered, name in zip(together, desk.adapters, strict=True):
        alone = Predictor.load(tmp_path / name / "bundle").answer([example])
        assert_close(answered.logits[0], alone.logits[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="another backbone"):
        joined([*runs, str(domain)], out=tmp_path / "other")
    moved = Path(shutil.move(domain, tmp_path / "moved"))
    with pytest.raises(MissingInputError, match="is not there"):
        joined(runs, out=tmp_path / "other")
    joined(runs, out=tmp_path / "other", backbone=f"{tiny_bert_folder} + {moved / 'adapter'}")


def test_a_backbone_whose_folder_is_named_like_two_is_one(
    trained: Train, tiny_bert_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.run.joining._proved", prove_written)
    odd = Path(shutil.copytree(tiny_bert_folder, tmp_path / "mine + yours"))
    runs = [str(trained(name, method=name, backbone=odd)) for name in ("lora", "prefix")]
    assert joined(runs, out=tmp_path / "desk").adapters == ("lora", "prefix")
