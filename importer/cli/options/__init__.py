"""The options of the commands, as groups of fields: what a command line gives, with types.

In: declarations, each a field with its kind of value and its help. Out: commands that parse, check
and document them. Open `declare.py` first.

To add an option: (1) add a field to the group whose heading it belongs under; its flag, --help, the
man page and completion follow from it, and `make docs` writes docs/reference/options.md. (2)
Read it where the command makes its job: `given(TheGroup).the_field`, in targets.py for what all
importers have, else in the command's own file. An option of some commands alone gets a group of
its own, which these commands list in their `@command(...)`.
"""
