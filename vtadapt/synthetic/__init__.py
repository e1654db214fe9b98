"""Synthetic scenes with exact labels for every task, rendered by casting rays against triangle meshes."""
