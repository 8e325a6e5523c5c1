"""The layers' own branches: a layer that has one is neither fetched nor unpacked again.

In: layers that were read, or ids of layers. Out: layer commits, and trees of several layers.
Open `layer.py` first: a layer in its branches. `batch.py` makes the branches; `stack.py`, `cut.py`,
`flattened.py` and `labelled.py` derive other trees from them.
"""
