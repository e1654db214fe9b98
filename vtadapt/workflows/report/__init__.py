"""``vtadapt report``: one page on a run."""
