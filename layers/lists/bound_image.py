"""Write a Quadlet unit of an image, for bootc's logically bound images.

Format: podman-systemd.unit(5), [Image]. bootc reads `Image=` alone, and takes no systemd
specifiers but `%%` (bootc, crates/lib/src/boundimage.rs).
"""

from __future__ import annotations

import re
from hashlib import sha256

_OTHER = re.compile(r"[^A-Za-z0-9.]+")
_MOST = 100


def bound_image(name: str) -> tuple[str, str]:
    """Return the unit's file name and its text. Each image name has a file name of its own."""
    stem = _OTHER.sub("-", name.partition("@")[0]).strip("-.")[:_MOST]
    unique = sha256(name.encode()).hexdigest()[:8]
    return f"{stem}-{unique}.image", f"[Image]\nImage={name.replace('%', '%%')}\n"
