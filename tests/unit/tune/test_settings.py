import json
import subprocess
import sys

import pytest

from tunesmith.core.component import validated
from tunesmith.core.errors import ConfigError
from tunesmith.core.meaning import meaning_of
from tunesmith.tune.settings import TrainSettings


def test_defaults_work_and_every_field_is_documented() -> None:
    settings = validated(TrainSettings, {}, key="train")
    assert settings.windows == 16
    assert all(meaning_of(TrainSettings, name) for name in TrainSettings.model_fields)
    assert len(TrainSettings.model_fields) <= 22


def test_settings_survive_being_saved() -> None:
    settings = validated(TrainSettings, {"batch_tokens": 512, "length": "20 minutes"}, key="train")
    assert validated(TrainSettings, json.loads(settings.model_dump_json()), key="train") == settings
    assert settings.windows is None


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ("train.batch_tokens", {"batch_size": 8, "batch_tokens": 512}),
        ("train.length", {"length": "three epochs"}),
        ("train.length", {"length": "1.5 steps"}),
        ("train.length", {"length": "-1 epochs"}),
        ("train.evaluate_every", {"evaluate_every": "0 steps"}),
        ("train.evaluate_every", {"evaluate_every": "2 minutes"}),
        ("train.save_every", {"save_every": "often"}),
        ("train.learning_rate", {"learning_rate": 0.0}),
        ("train.learning_rate", {"learning_rate": float("nan")}),
        ("train.warmup", {"warmup": 1.0}),
        ("train.layer_decay", {"layer_decay": 1.5}),
        ("train.precision", {"precision": "fp16"}),
        ("train.accumulate", {"accumulate": 0}),
        ("train.accumulate", {"accumulate": True}),
        ("train.lenght", {"lenght": "3 epochs"}),
    ],
)
def test_what_has_no_meaning_is_refused_at_its_key(key: str, fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        validated(TrainSettings, fields, key="train")
    assert caught.value.place is not None and caught.value.place.key == key


def test_reading_settings_imports_no_torch() -> None:
    code = "import sys, tunesmith.tune.settings, tunesmith.core.seed; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
