"""A password file for the registry, which takes bcrypt alone."""

import ctypes
import secrets

#: The radix-64 digits of bcrypt; the last of 22 salt digits carries two bits only.
DIGITS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def htpasswd(user: str, password: str) -> str:
    """The file's line. libxcrypt does the work: it is part of every Debian and Fedora."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    salt = "$2b$05$" + "".join(secrets.choice(DIGITS) for _ in range(21)) + "."
    hashed = library.crypt(password.encode(), salt.encode())
    if not hashed:
        raise RuntimeError("libcrypt has no bcrypt")
    return f"{user}:{hashed.decode()}\n"
