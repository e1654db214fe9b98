"""Which paths are one file: links of folders and of files are followed."""

from __future__ import annotations

import os
import re
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{30}", re.IGNORECASE)


class RealPaths:
    """Real paths of files; what is known of a folder is kept, so that a file costs one look at the disk."""

    def __init__(self) -> None:
        self._folders: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """Where a file lies, all links followed: the same for two paths to it."""
        folder = self._folders.get(path.parent)
        if folder is None:
            folder = self._folders[path.parent] = os.path.realpath(path.parent)
        whole = os.path.join(folder, path.name)
        return os.path.realpath(whole) if os.path.islink(whole) else whole


def named_by_content(real: str) -> bool:
    """Whether a file is named by a digest, as stores of git-annex, DVC and model hubs do.

    There all files of equal content, such as labels without anything in them, are links to one.
    """
    return _DIGEST.search(os.path.basename(real)) is not None
