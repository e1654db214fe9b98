"""``python -m vtadapt`` is the same as the ``vtadapt`` command."""

from __future__ import annotations

from vtadapt.cli import main

if __name__ == "__main__":
    main()
