"""Keyrings of GPG, each with an agent of its own."""

from pathlib import Path

from tests.tools.process import run


def gpg_home(where: Path, name: str) -> Path:
    """A keyring with one secret key without a passphrase."""
    where.mkdir(mode=0o700)
    gpg(where, "--quick-generate-key", "--passphrase=", f"{name}@example.com", "ed25519", "sign")
    return where


def gpg(home: Path, *arguments: str) -> str:
    """Runs gpg on that keyring alone."""
    return run(["gpg", "--batch", "--quiet", "--homedir", home, *arguments])


def stop_agent(home: Path) -> None:
    """The agent that gpg has started for the keyring."""
    run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])
