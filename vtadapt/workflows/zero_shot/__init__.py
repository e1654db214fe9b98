"""``vtadapt zero-shot``: a task on new data without its labels there."""
