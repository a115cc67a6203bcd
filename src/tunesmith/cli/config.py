"""`tunesmith config show|check|explain`: what a configuration means, without running it."""

from pathlib import Path

import typer

from tunesmith.cli.output import emit, out, plain, table

app = typer.Typer(help="Show, check and explain configurations.", no_args_is_help=True)

FILE = typer.Argument(..., help="A TOML configuration.", metavar="CONFIG")
SET = typer.Option(
    [], "--set", help="Override one key, e.g. --set method.rank=4. May be repeated.", metavar="KEY=VALUE"
)
JSON = typer.Option(False, "--json", help="Print one JSON object.")


@app.command()
def show(file: Path = FILE, assignments: list[str] = SET, as_json: bool = JSON) -> None:
    """Print every value the run will use, and whether it comes from the file, a flag or a default."""
    from tunesmith.run import config as run_config
    from tunesmith.run.leaves import leaves

    written = run_config.read_table(file)
    config = run_config.read_config(file, overrides=assignments)
    resolved = config.as_table()
    origins = run_config.origins(resolved, written, assignments)
    if as_json:
        emit({"config": resolved, "origins": origins})
        return
    values = dict(leaves(resolved))
    out.print(table(str(file), ("key", "value", "from"), [(key, str(values[key]), origins[key]) for key in values]))


@app.command()
def check(file: Path = FILE, assignments: list[str] = SET, as_json: bool = JSON) -> None:
    """Say whether a configuration is sound: every key known, every value of its type, every named file there."""
    from tunesmith.run import config as run_config

    config = run_config.read_config(file, overrides=assignments)
    run_config.require_files(config)
    if as_json:
        emit({"ok": True})
    else:
        out.print(f"[green]ok[/] {plain(file)}")


@app.command()
def explain(
    key: str = typer.Argument(..., help="A key such as train.warmup or method.lora.rank."), as_json: bool = JSON
) -> None:
    """Print what a key means, its type and its default."""
    from tunesmith.run.explain import explained

    meaning = explained(key)
    if as_json:
        emit({"key": key, "type": meaning.type, "default": meaning.default, "meaning": meaning.text})
        return
    out.print(f"[bold]{plain(key)}[/]  {plain(meaning.type)}, default {plain(meaning.default)}", highlight=False)
    out.print(meaning.text, markup=False)
