"""The process table."""

from pathlib import Path


def members(session: int) -> list[str]:
    """The living processes of a session, each as `PID NAME`.

    proc_pid_stat(5): the name is in parentheses, may hold anything, and is followed by the
    state, the parent, the group and the session. What is dead but not yet reaped is gone.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            head, _, tail = (entry / "stat").read_text(errors="replace").rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, _, its_session = tail.split()[:4]
        if int(its_session) == session and state not in "ZX":
            found.append(f"{entry.name} {head.partition('(')[2]}")
    return found
