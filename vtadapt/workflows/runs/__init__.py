"""``vtadapt runs``: what runs there are, how they compare, and removing them."""
