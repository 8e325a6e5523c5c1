"""Tests of the documentation: what it says is so.

Links and anchors lead somewhere, pictures are those that their source draws, quoted messages stand
in the code, and the documents of docs/reference/json.md have the keys that the commands print.
"""
