"""The version, where everything may read it: ``vtadapt/__init__.py`` stands above all rooms."""

__version__ = "0.1.0"
