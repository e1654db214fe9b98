"""Data sets whose samples are rows of tables: Hugging Face's, as they lie on disk."""
