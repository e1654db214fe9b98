"""The adapted network in a PyTorch loop of your own: frozen backbone, trained adapters, the tasks' losses."""

from __future__ import annotations

import tempfile

import numpy as np
import torch

import vtadapt
from vtadapt.synthetic.rooms.rooms import generate_rooms  # pictures with labels; take your own

rooms = list(generate_rooms(range(8), (96, 96)))
images = torch.stack([torch.from_numpy(room["image"]).permute(2, 0, 1) / 255 for room in rooms])
labels = {name: np.stack([room[name] for room in rooms]) for name in ("depth", "normals")}

model = vtadapt.create(["depth", "normals"], size=(96, 96))
targets = model.targets(labels)
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
for step in range(10):
    loss = model.loss(model.network(images), targets)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    print(f"step {step}: loss {loss.item():.3f}")

with tempfile.TemporaryDirectory() as folder:
    again = vtadapt.load(model.save(f"{folder}/mine"))
    print(again.predict(rooms[0]["image"]))
