"""``vtadapt adapt``: unsupervised domain adaptation."""
