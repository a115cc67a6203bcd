"""The audit of a data file, a folder of splits, or everything a configuration names."""

from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.errors import ConfigError
from tunesmith.prepare.audit import AuditReport
from tunesmith.prepare.split_files import split_files
from tunesmith.run.config import RunConfig, overridden, parsed, read_config
from tunesmith.run.prepared import prepared


def audited_source(source: Path, *, data: Path | None = None, overrides: Sequence[str] = ()) -> AuditReport:
    """Audit a TOML configuration, a folder that holds train, dev and test files, or a single file.

    Raises:
        MissingInputError: there is no such file or folder.
        DataError: the first row that cannot be read.
    """
    return prepared(config_of(source, data=data, overrides=overrides), check=False).audit


def config_of(source: Path, *, data: Path | None = None, overrides: Sequence[str] = ()) -> RunConfig:
    """The configuration in `source`, or one with defaults for a data file or folder."""
    if source.suffix == ".toml":
        return read_config(source, overrides=overrides, data=data)
    files = split_files(source) if source.is_dir() else {"train": source}
    table = overridden({"data": {name: str(file.resolve()) for name, file in files.items()}}, overrides)
    try:
        return parsed(table, folder=(data or Path()).resolve())
    except ConfigError as error:
        error.fix = f"{error.fix} (set with --set)"
        raise
