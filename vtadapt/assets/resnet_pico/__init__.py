"""The bundled CNN encoder; ``python -m vtadapt.assets.resnet_pico.pretrain`` makes it."""
