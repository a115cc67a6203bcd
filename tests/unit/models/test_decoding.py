"""The table `decoding`: defaults work, and what means nothing is refused at its key."""

from typing import Any

import pytest

from tunesmith.core.component import validated
from tunesmith.core.errors import ConfigError
from tunesmith.core.meaning import meaning_of
from tunesmith.models.decoding import Decoding


@pytest.mark.parametrize(
    "table, words",
    [
        ({"temperature": 0.5}, 'temperature means nothing to the strategy "greedy", only to "sample"'),
        ({"strategy": "sample", "beams": 3}, 'beams means nothing to the strategy "sample"'),
        ({"strategy": "beam", "top_p": 0.5}, "top_p means nothing"),
        ({"strategy": "beam", "stop": ["."]}, "stop strings"),
        ({"stop": [""]}, "empty string"),
        ({"strategy": "sample", "temperature": 0.0}, "greater than 0"),
        ({"strategy": "beam", "beams": 1}, "greater than or equal to 2"),
        ({"max_new_tokens": 0}, "greater than or equal to 1"),
        ({"strategy": "beams"}, "'greedy', 'sample' or 'beam'"),
        ({"temprature": 0.5}, "did you mean 'temperature'"),
    ],
)
def test_what_cannot_be_meant(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=r"task\.decoding") as caught:
        validated(Decoding, table, key="task.decoding")
    assert words in str(caught.value)


def test_it_survives_being_saved_and_every_key_is_explained() -> None:
    given = Decoding(strategy="sample", temperature=0.7, top_k=20, stop=["\n"], seed=3)
    assert Decoding.model_validate(given.model_dump(mode="json")) == given
    assert all(meaning_of(Decoding, key) for key in Decoding.model_fields)
