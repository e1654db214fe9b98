"""The patterns that recipes of the folder reader name files by: checked once, then filled in."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from string import Formatter

from vtadapt.errors import ConfigError


def check_pattern(pattern: str, known: tuple[str, ...]) -> str:
    """``pattern``, where it lies below the source and has no placeholders but those ``known``.

    Raises:
        ValueError: for pydantic, which adds the recipe's key.
    """
    wanted = " or ".join(f"{{{name}}}" for name in known)
    if not pattern.strip():
        raise ValueError("wanted a pattern below the source")
    if PurePosixPath(pattern).is_absolute() or PureWindowsPath(pattern).drive:
        raise ValueError("wanted a pattern below the source, not an absolute path")
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(pattern)]
    except ValueError as error:
        raise ValueError(f"{error}; the placeholders are {wanted}") from error
    for name, spec, conversion in fields:
        if name is not None and (name not in known or spec or conversion):
            raise ValueError(f"unknown placeholder {{{name}}}; wanted {wanted}")
    return pattern


def matching_files(root: Path, pattern: str, key: str) -> list[Path]:
    """Files below ``root`` that match ``pattern``, sorted; ConfigError with the recipe's ``key`` if it is malformed."""
    try:
        return sorted(p for p in root.glob(pattern) if p.is_file())
    except (ValueError, NotImplementedError, IndexError) as error:
        raise ConfigError(f"{key}: {pattern!r} is no pattern of files ({error})") from error


def fixed_part(root: Path, pattern: str) -> Path:
    """The folder that every match lies in: the pattern's parts before the first wildcard."""
    parts = Path(pattern).parts[:-1]
    wild = next((i for i, p in enumerate(parts) if any(c in p for c in "*?[")), len(parts))
    return root.joinpath(*parts[:wild])
