"""vtadapt: multitask dense vision from one frozen vision transformer with small trained adapters."""

from __future__ import annotations

__version__ = "0.1.0"
