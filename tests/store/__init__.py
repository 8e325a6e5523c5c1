"""The containers-storage tree in a commit."""
