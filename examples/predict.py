"""Arrays in units for a photograph: ``python examples/predict.py [PHOTO ...]``."""

from __future__ import annotations

import sys

import vtadapt
from vtadapt.synthetic.rooms.rooms import render_room

model = vtadapt.load("demo")
pictures = sys.argv[1:] or [render_room(7, (240, 320))["image"]]  # a rendered room where no photograph is named
for picture in pictures:
    out = model.predict(picture)
    print("classes:", ", ".join(f"{name} {share:.0%}" for name, share in [*out.shares("semseg").items()][:3]))
    print(f"depth: {out['depth'].min():.1f} to {out['depth'].max():.1f} {out.units['depth']}")
    print(f"edges: {100 * (out['edges'] > 0.9).mean():.1f} % of the pixels are likely")
