"""The page of ``vtadapt explore``."""
