import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.run.explain import explained, meanings


def test_every_key_has_a_help() -> None:
    silent = [key for key, meaning in meanings() if not meaning.text]
    assert not silent


def test_a_key_is_explained_from_its_field() -> None:
    assert explained("method.lora.rank").default == "8"
    assert explained("trackers.wandb.online").default == "False"
    assert "decoupled" in explained("train.weight_decay").text.lower()


def test_an_unknown_key_names_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"train\.warmup"):
        explained("train.warmpu")
    with pytest.raises(ConfigError, match=r"method\.lora\.rank"):
        explained("rank")
