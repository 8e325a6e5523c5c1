"""Entries of a walked directory that are no files for ostree: whiteouts, markers, devices."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from importer.files.beneath import open_file
from importer.files.xattrs import xattrs_of
from importer.tree.entries import (
    Mark,
    WhiteoutForm,
    check_empty,
    check_hidden,
    check_left_out,
    form_of_fuse_file,
    form_of_node,
    hidden_by,
)
from importer.tree.file_batch import lower_data
from layers.ondisk.change import Fill
from layers.path import joined
from layers.tree.overlay_xattrs import (
    TRUSTED,
    USER,
    fill_xattrs,
    is_metacopy,
    whiteout_by,
    without_opaque,
)

if TYPE_CHECKING:
    from importer.tree.scanned import Rules, ScannedPlace


def form_of(
    place: ScannedPlace, descriptor: int, name: bytes, status: os.stat_result, rules: Rules
) -> WhiteoutForm | None:
    """Return the form of an entry of the open directory `place`; None for a file or symlink.

    Raise LayerError for a whiteout's file that has content.
    """
    form = form_of_node(name, status, in_layer=place.layer is not None)
    if form is None and stat.S_ISREG(status.st_mode):
        return _form_of_file(place, descriptor, name, status, rules)
    return form


def _form_of_file(
    place: ScannedPlace, descriptor: int, name: bytes, status: os.stat_result, rules: Rules
) -> WhiteoutForm | None:
    """Return the form of a regular file that is a whiteout or an opaque marker, else None."""
    if rules.own_whiteouts and joined((*place.path, name)) in rules.own_whiteouts:
        return WhiteoutForm.QUOTED
    if place.layer is not None and place.layer.fuse:
        form = form_of_fuse_file(name)
        if form is not None:
            check_empty(status)
            return form
    if status.st_size:
        return None
    file = open_file(descriptor, name)
    try:
        found = whiteout_by(xattrs_of(file))
    finally:
        os.close(file)
    if place.layer is None or place.layer.fuse:
        return WhiteoutForm.XATTR if found else None
    if TRUSTED in found:
        return WhiteoutForm.XATTR
    return WhiteoutForm.USER_XATTR if USER in found else None


def fills(root: int, place: ScannedPlace, directory: int, name: bytes) -> list[Fill]:
    """Return the change that gives a file of the open directory `place` its data, if that is in a
    lower layer of the tree at `root`. Raise LayerError if the layers do not have it."""
    file = open_file(directory, name)
    try:
        status, xattrs = os.fstat(file), xattrs_of(file)
    finally:
        os.close(file)
    if not is_metacopy(xattrs):
        return []
    source = lower_data(root, place.layer, (*place.path, name), status.st_size, xattrs)
    inode, mtime = status.st_ino, status.st_mtime_ns
    return [Fill(place.path, name, source, inode, mtime, fill_xattrs(xattrs))]


def take(place: ScannedPlace, name: bytes, form: WhiteoutForm, rules: Rules) -> Mark:
    """Add an entry of this form to the tree, and return its mark.

    Raise LayerError for an entry that the rules or ostree refuse.
    """
    if form in (WhiteoutForm.DEVICE, WhiteoutForm.FIFO):
        above = place.path[len(place.layer.path) :] if place.layer is not None else place.path
        check_left_out(above, form, rules.device_nodes)
    if form in (WhiteoutForm.DEVICE, WhiteoutForm.FIFO, WhiteoutForm.SOCKET):
        if place.layer is not None:
            # The node is left out, but must still hide a lower layer's entry of its name.
            check_hidden(name)
            place.node.whiteouts.add(name)
    elif form is WhiteoutForm.OPAQUE_FILE:
        place.node.opaque = True
    elif form is not WhiteoutForm.BACKING:
        hidden = hidden_by(name, form)
        check_hidden(hidden)
        place.node.whiteouts.add(hidden)
    if form is WhiteoutForm.XATTR and place.node.owner is not None:
        # The value `x` tells overlayfs to look for such whiteouts.
        owner = place.node.owner
        place.node.owner = owner._replace(xattrs=without_opaque(owner.xattrs, b"x"))
    return Mark(place.path, name, form)
