"""Self-training on a target without labels: a teacher, what it is sure of, mixed pictures, rare classes."""
