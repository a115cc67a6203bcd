"""`tunesmith serve`: the bundle behind HTTP, with a playground, until it is asked to stop."""

from pathlib import Path
from typing import Literal

import typer

from tunesmith.cli.search_options import CANDIDATES, INDEX, RELEVANT, RERANKER


def serve(
    bundle: Path = typer.Argument(..., help="The bundle that training wrote.", metavar="BUNDLE"),
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on; beyond loopback needs a key."),
    port: int = typer.Option(8000, "--port", min=0, max=65535, help="Port; 0 takes a free one."),
    allow_host: list[str] = typer.Option([], "--allow-host", help="A name the Host header may carry."),
    insecure: bool = typer.Option(False, "--insecure", help="Listen beyond loopback without a key."),
    examples: bool | None = typer.Option(
        None, "--examples/--no-examples", help="Show up to six dev texts to try; by default not with --insecure."
    ),
    max_items: int = typer.Option(64, "--max-items", min=1, help="Texts in one request."),
    max_characters: int = typer.Option(10_000, "--max-characters", min=1, help="Characters of one text."),
    max_request_characters: int | None = typer.Option(
        None,
        "--max-request-characters",
        min=1,
        help="Characters of a whole request: 50000, or one longest text.",
    ),
    max_body_bytes: int = typer.Option(1 << 20, "--max-body-bytes", min=64, help="Bytes of one request."),
    queue_items: int = typer.Option(256, "--queue-items", min=1, help="Texts that may wait before 503."),
    queue_seconds: float = typer.Option(0.5, "--queue-seconds", min=0.01, help="Estimated wait before 503."),
    precision: Literal["fp32", "bf16", "auto"] = typer.Option(
        "fp32", "--precision", help="fp32 as in the report; bf16: about half the time; auto: what is faster here."
    ),
    index: Literal["exact", "faiss"] = INDEX,
    reranker: Path = RERANKER,
    candidates: int = CANDIDATES,
    relevant: str = RELEVANT,
    drain_seconds: float = typer.Option(1.0, "--drain-seconds", min=0.0, help="Answer on for so long after SIGTERM."),
    as_json: bool = typer.Option(False, "--json", help="Errors as JSON; the log is JSON lines in any case."),
) -> None:
    """Serve a bundle over HTTP, with a playground at /.

    The log goes to standard output: one JSON line a request, never its text. API keys come from the environment:
    TUNESMITH_API_KEYS, separated by commas. SIGTERM or Ctrl-C finishes what was begun and exits with 0.
    """
    import os
    import sys

    from tunesmith.cli.output import err, plain
    from tunesmith.serve.running import Running
    from tunesmith.serve.running import serve as served
    from tunesmith.serve.settings import ServeSettings

    def started(running: Running) -> None:
        url = plain(running.url)  # an address of IPv6 stands in brackets
        err.print(f"[bold]{plain(running.service.name)}[/] at {url}", highlight=False, soft_wrap=True)
        err.print(f"[dim]try[/]   open {url} in a browser, or", highlight=False, soft_wrap=True)
        who = f'"adapter": "{running.service.adapters[0]}", ' if running.service.adapters else ""
        header, body = "-H 'Content-Type: application/json'", f'-d \'{{{who}"text": "..."}}\''
        err.print(f"      curl {url}/v1/predict {header} {body}", highlight=False, soft_wrap=True)
        err.print("[dim]stop  Ctrl-C[/]", highlight=False)

    settings = ServeSettings(
        host=host,
        port=port,
        allowed_hosts=tuple(allow_host),
        insecure=insecure,
        examples=examples,
        max_items=max_items,
        max_characters=max_characters,
        max_request_characters=max_request_characters or max(max_characters, 50_000),
        max_body_bytes=max_body_bytes,
        queue_items=queue_items,
        queue_seconds=queue_seconds,
        precision=precision,
        index=index,
        reranker=reranker,
        candidates=candidates,
        relevant=relevant,
        drain_seconds=drain_seconds,
    )
    keys = os.environ.get("TUNESMITH_API_KEYS", "").split(",")
    served(bundle, settings, keys=keys, log=sys.stdout, started=started)
