"""The bundled encoder ``swin_lite``; ``python -m vtadapt.assets.swin_lite.pretrain`` makes it."""
