"""A home directory without any configuration or credentials, which programs may write to."""

import atexit
import shutil
import tempfile
from functools import cache


@cache
def empty_home() -> str:
    """One for this process, gone at its end."""
    directory = tempfile.mkdtemp(prefix="import-image-home-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory
