"""Data: recipes, packs on disk, samples as tensors, and readers of what people have on disk."""
