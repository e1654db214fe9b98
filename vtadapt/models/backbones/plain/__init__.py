"""The bundled encoders in plain PyTorch: importing timm takes longer than a small picture."""
