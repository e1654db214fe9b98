"""The one place that talks to the Hub, and its errors in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from vtadapt.errors import DataError, UsageError, VtadaptError
from vtadapt.workflows.run.cached import is_repository


def need_repository(name: str) -> None:
    """See that a name is one of a repository.

    Raises:
        UsageError: it is none.
    """
    if not is_repository(name):
        raise UsageError(f"repository {name!r}; wanted OWNER/NAME, as the Hub has it, such as jane/rooms-adapters")


def library() -> Any:
    """huggingface_hub.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise UsageError("the Hub needs huggingface_hub; install with: pip install 'vtadapt[hub]'") from error
    return huggingface_hub


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into one line.

    Args:
        what: is being done, for the message.

    Raises:
        DataError: there is no such repository, revision or file.
        VtadaptError: anything else: no connection, no permission, no token.
    """
    from huggingface_hub import errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"cannot {what}: not found there, or private to others ({reason}); see hf auth login"
        ) from error
    except (errors.HfHubHTTPError, errors.LocalTokenNotFoundError, ConnectionError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise VtadaptError(f"cannot {what} ({reason}); is there a network, and a token (hf auth login)?") from error
