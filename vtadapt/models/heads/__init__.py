"""Task heads: from a decoder's features, a token every few pixels, to logits for every pixel."""
