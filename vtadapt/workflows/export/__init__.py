"""A run as one file that other programs run, without vtadapt."""
