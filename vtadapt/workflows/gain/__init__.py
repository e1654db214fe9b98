"""How much each task's labels help another one of which few are labelled: measured, and what predicts it."""
