"""What was encoded, in the memory of this process."""

from __future__ import annotations

from vtadapt.workflows.train.cached.form import Form, Parts


class Memory:
    """Entries by their number.

    Processes that load data see those that were there when they were forked; copies that are sent to one are empty.
    """

    def __init__(self, form: Form) -> None:
        """Begin empty."""
        self.form = form
        self._entries: dict[int, Parts] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_entries": {}}

    def get(self, entry: int) -> Parts | None:
        """An entry; None where it is not there."""
        return self._entries.get(entry)

    def put(self, entry: int, parts: Parts) -> None:
        """Keep an entry."""
        self._entries[entry] = tuple(part.cpu() for part in parts)
