"""Arrays in units for a photograph: ``python examples/predict.py [PHOTO ...]``."""

from __future__ import annotations

import sys

import numpy as np

import vtadapt
from vtadapt.synthetic.rooms.rooms import render_room

model = vtadapt.load("demo")
pictures = sys.argv[1:] or [render_room(7, (240, 320))["image"]]  # a rendered room where no photograph is named
for picture in pictures:
    out = model.predict(picture)
    ids, counts = np.unique(out["semseg"], return_counts=True)
    names = model.tasks["semseg"].classes
    largest = sorted(zip(counts, ids, strict=True), reverse=True)[:3]
    print("classes:", ", ".join(f"{names[i]} {100 * n / out['semseg'].size:.0f} %" for n, i in largest))
    print(f"depth: {out['depth'].min():.1f} to {out['depth'].max():.1f} {model.tasks['depth'].units}")
    print(f"edges: {100 * (out['edges'] > 0.9).mean():.1f} % of the pixels are likely")
