"""How long to wait for what must happen.

Nobody waits so long where all is well: it only ends a test that would never end. So it is far
more than a machine that is slow, and busy with all else, needs for anything here.
"""

SECONDS = 600
