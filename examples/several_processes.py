"""Several GPUs or processes: the same program, once for each of them.

``torchrun --nproc-per-node 2 several_processes.py`` shares every batch between two processes: one a GPU, or on the CPU
(gloo). ``python several_processes.py`` trains alone. Both come to the same model.
"""

import os

import numpy as np

import labelwise as lw
from labelwise.data import digits_canvases, digits_features

# torchrun tells each process how many there are, here and in all; without it there is one.
here, everywhere = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))

images, truth, names = digits_canvases(400, seed=0)
new_images, new_truth, _ = digits_canvases(200, seed=0, part="test")
X, X_new = digits_features(images, filters=128), digits_features(new_images, filters=128)
Y = lw.simulate.single_positive(truth, seed=0)

model = lw.MultiLabelClassifier(
    "hml", epochs=3, validation=None, prior=2.5, devices=here, nodes=everywhere // here, device="cpu"
)
model.fit(X, Y, label_names=names)

# Every process holds the whole model now: one of them is enough to write and to print.
if os.environ.get("RANK", "0") == "0":
    np.save(f"scores-{everywhere}.npy", model.predict_proba(X_new))
    word = "process" if everywhere == 1 else "processes"
    print(f"{everywhere} {word}: mAP {model.score(X_new, new_truth):.4f}")
