"""Task affinities of a run: measured, drawn, and what they say about grouping."""
