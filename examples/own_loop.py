"""The adapted network in a PyTorch loop of your own: frozen trunk, trained adapters, the tasks' losses."""

from __future__ import annotations

import torch

from vtadapt import make_task
from vtadapt.models.adapted import AdaptedModel, AdapterConfig
from vtadapt.models.backbones.load import load_backbone
from vtadapt.synthetic.rooms.rooms import generate_rooms

tasks = {"depth": make_task("depth", "regression"), "normals": make_task("normals", "unit_vector")}
model = AdaptedModel(load_backbone("swin_pico"), {name: task.channels for name, task in tasks.items()}, AdapterConfig())
optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=8e-3)

rooms = list(generate_rooms(range(8), (96, 96)))
image = torch.stack([torch.from_numpy(room["image"]).permute(2, 0, 1).float() / 255 for room in rooms])
labels = {
    "depth": torch.stack([torch.from_numpy(room["depth"]).float()[None] for room in rooms]),
    "normals": torch.stack([torch.from_numpy(room["normals"]).float().permute(2, 0, 1) for room in rooms]),
}
for step in range(10):
    logits = model(image)
    loss = torch.stack([task.loss_fn(logits[name], labels[name]).value for name, task in tasks.items()]).sum()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    print(f"step {step}: loss {float(loss.detach()):.3f}")
