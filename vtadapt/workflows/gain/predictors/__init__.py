"""What may predict, at a small part of its cost, which labels help which task."""
