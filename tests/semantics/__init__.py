"""Tests of what layers mean: every row of docs/semantics.md, and random stacks of layers.

The same layers are read by us, by umoci and by podman. Definitions are in
`fixtures/images/semantics`.
"""
