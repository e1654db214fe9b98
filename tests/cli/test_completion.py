"""Shell completion, as the shells ask for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("typed", "wanted"), [("vtadapt pre", {"predict", "prepare-data"}), ("vtadapt train --epo", {"--epochs"})]
)
def test_bash_is_told_what_may_follow(typed, wanted):
    words = typed.split()
    asked = {"_VTADAPT_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; from vtadapt.cli import main; sys.argv = ['vtadapt']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == wanted, done.stderr
