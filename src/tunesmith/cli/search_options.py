"""The options of a search, the same for every command that answers: its index, and a re-ranker behind it."""

from typing import Any, Final

import typer

INDEX: Final[Any] = typer.Option(
    "exact", "--index", help="Of a search: every document is looked at, or with faiss those near a question."
)
RERANKER: Final[Any] = typer.Option(
    None, "--reranker", help="A pair model that orders anew what a search finds.", metavar="PAIR_BUNDLE"
)
CANDIDATES: Final[Any] = typer.Option(50, "--candidates", min=1, help="Documents that the re-ranker reads.")
RELEVANT: Final[Any] = typer.Option(
    None, "--relevant", help="Its label that means relevant; plain are yes, 1, true, relevant.", metavar="LABEL"
)
