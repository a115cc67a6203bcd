"""When two texts count as the same: equal after Unicode folding, case folding and collapsing blanks."""

import unicodedata


def normalized(text: str) -> str:
    """The text with compatibility forms, case and runs of blanks folded away."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
