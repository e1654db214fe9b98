"""The bundled encoder; ``python -m vtadapt.assets.swin_pico.pretrain`` makes it."""
