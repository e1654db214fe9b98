"""Without vtadapt and torch: ``vtadapt export demo --out demo.onnx``, then ``python infer.py demo.onnx photo.jpg``."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map  # task -> JSON: kind, units, classes
image = np.asarray(ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGB"))
names = [output.name for output in session.get_outputs()]
for name, (array,) in zip(names, session.run(names, {"image": image[None]}), strict=True):
    task = json.loads(about[name])
    if "classes" in task:
        ids, counts = np.unique(array, return_counts=True)
        print(name, {task["classes"][i]: f"{n / array.size:.1%}" for i, n in zip(ids, counts, strict=True)})
    else:
        print(name, array.shape, f"{array.min():.3f} to {array.max():.3f}", task.get("units", ""))
