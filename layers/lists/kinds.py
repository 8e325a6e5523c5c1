"""The formats of lists of images, as a hint names them."""

KINDS = (
    "a blueprint with [[containers]], a Compose file, Kubernetes manifests, a Quadlet unit,"
    " or a list with one image a line"
)
