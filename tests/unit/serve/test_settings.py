"""Limits that belong together."""

import pytest

from tunesmith.core.errors import UsageError
from tunesmith.serve.settings import ServeSettings


def test_a_request_that_could_not_hold_its_longest_text_is_refused_with_a_remedy():
    with pytest.raises(UsageError, match="60000") as caught:
        ServeSettings(max_characters=60_000)
    assert caught.value.place is not None and caught.value.place.key == "max_request_characters"
    assert "--max-characters" in caught.value.fix
    ServeSettings(max_characters=60_000, max_request_characters=60_000)
