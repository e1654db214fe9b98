"""``vtadapt compare``: methods side by side under one protocol."""
