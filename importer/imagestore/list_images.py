"""`image-store list`: list the images of all stores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from importer.render.json_text import json_text
from importer.render.row_format import formatted
from importer.render.table import Block, Column, Shown, Table, Text
from importer.store.layers import recorded_whiteouts
from layers.frozen import frozen
from layers.storage.artifact import Artifact
from layers.storage.layer_id import Whiteouts
from layers.words import age, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.store.find import Place, Stores
    from importer.store.image import ImageView
    from importer.store.reader import StoreView

_LONG_DIGEST = re.compile(r"(@\w+:[0-9a-f]{12})[0-9a-f]+$")
_COLUMNS = (
    Column("COMPONENT", below=True, optional=True),
    Column("NAME", below=True, style="cyan"),
    Column("DIGEST", below=True, optional=True),
    Column("IMAGE ID"),
    Column("PLATFORM"),
    Column("LAYERS", right=True),
    Column("SIZE", right=True),
    Column("FORM", optional=True),
    Column("AGE"),
    Column("BRANCH", fold=True, style="dim"),
)


@frozen
class Listing(Shown):
    """The images and artifacts of some stores. `now` is in seconds since 1970; ages count from it.

    For people: with `ids` the ids alone, with a `template` what it makes of each name. Ids
    and digests are short unless `whole`.
    """

    stores: Stores
    now: int
    ids: bool = False
    whole: bool = False
    template: str = ""

    def blocks(self) -> list[Block]:
        """Return a row for each name, and then the skipped branches."""
        if self.template == "json":
            return [Text(json_text(self), verbatim=True)]
        if self.template:
            fields = [row for pair in self._listed() for row in self._fields(*pair)]
            return formatted(self.template, fields)
        if self.ids:
            return [Text(i) for i in dict.fromkeys(self._id(image) for _, image in self._listed())]
        table = Table(_COLUMNS)
        for store, image in self._listed():
            table.rows.extend(self._rows(store, image))
        blocks: list[Block] = [table] if table.rows else [Text("no images")]
        blocks += [
            Text(f"skipped {branch.branch}: {branch.reason}", "yellow")
            for branch in self.stores.skipped
        ]
        return blocks

    def _listed(self) -> Iterator[Place]:
        """Yield the images by branch, then the artifacts."""
        for store in self.stores.found:
            for image in sorted(store.images, key=lambda i: i.full_label):
                yield store, image
        for store in self.stores.found:
            for artifact in store.artifacts:
                yield store, artifact

    def _id(self, image: ImageView | Artifact) -> str:
        return image.id if self.whole else image.id[:12]

    def _age(self, image: ImageView | Artifact) -> str:
        return age(image.created_seconds, self.now)

    def _name(self, name: str) -> str:
        return name if self.whole else _LONG_DIGEST.sub(r"\1", name)

    def _digest(self, image: ImageView | Artifact, name: str) -> str:
        """Return the manifest's digest, or "" if the name has it."""
        digest = image.manifest.digest
        if name.endswith(f"@{digest}"):
            return ""
        return str(digest) if self.whole else digest.hex[:12]

    def _fields(self, store: StoreView, image: ImageView | Artifact) -> Iterator[dict[str, object]]:
        """Return the fields of a template for each name, called as podman calls them."""
        for name in image.names or ("<none>",):
            repository, at, digest = name.partition("@")
            before, colon, tag = repository.rpartition(":")
            tagged = bool(colon) and "/" not in tag
            yield {
                "ID": self._id(image),
                "Name": self._name(name),
                "Names": [self._name(each) for each in image.names],
                "Repository": before if tagged else repository,
                "Tag": tag if tagged else "<none>",
                "Digest": digest if at else str(image.manifest.digest),
                "Created": self._age(image),
                "CreatedAt": image.created,
                "Size": size(image.size),
                "Layers": len(image.layers),
                "Platform": image.platform,
                "Component": ", ".join(image.components),
                "Branch": store.branch,
                "Commit": store.commit.checksum,
            }

    def _rows(self, store: StoreView, image: ImageView | Artifact) -> Iterator[tuple[str, ...]]:
        """Yield a row for each name; the first one has what all have in common."""
        components = ", ".join(image.components)
        facts = (
            image.platform,
            str(len(image.layers)),
            size(image.size),
            _form(store, image),
            self._age(image),
            store.branch,
        )
        for name in image.names or ("<none>",):
            names = self._name(name), self._digest(image, name), self._id(image)
            yield (components, *names, *facts)
            components, facts = "", ("",) * 6

    def document(self) -> dict[str, object]:
        stores = self.stores.found
        return {
            # [listed_image]: a list, by branch
            "images": [listed_image(s, image, self.now) for s in stores for image in s.images],
            # [listed_artifact]: a list, by branch
            "artifacts": [listed_artifact(s, each) for s in stores for each in s.artifacts],
            "skipped": self.stores.skipped,  # [Skipped]: a list of branches
        }


def listed_image(store: StoreView, image: ImageView, now: int) -> dict[str, object]:
    created = image.config.created_seconds
    return {
        **image.document(),  # ImageView
        # digests of indexes that the image has a name by
        "index_digests": [index.digest for index in image.indexes],
        "platform": image.platform,  # as `linux/amd64`
        "layers": len(image.layers),  # number of layers
        "size": image.size,  # bytes of the layers' tars
        "flattened": image.flattened,  # whether `--flatten` made it
        # `quoted` or `none`: how the layers delete files (`--whiteouts`); `null` for a flattened
        # image, and where the commit does not tell
        "whiteouts": _whiteouts(store, image),
        # the release that left the image (`--keep-images`), or `null`
        "kept_from": image.record.kept_from or None,
        "branch": store.branch,  # the branch
        "commit": store.commit.checksum,  # its commit
        "created": image.config.created or None,  # the config's time, ISO 8601
        "age_seconds": max(0, now - created) if created else None,  # seconds since then
    }


def listed_artifact(store: StoreView, artifact: Artifact) -> dict[str, object]:
    return {
        **artifact.document(),  # Artifact
        "branch": store.branch,  # the branch
        "commit": store.commit.checksum,  # its commit
    }


def _whiteouts(store: StoreView, image: ImageView) -> Whiteouts | None:
    """Return how the image's layers delete files, if the branch tells; None if none does."""
    return None if image.flattened else recorded_whiteouts(store.commit)


def _form(store: StoreView, image: ImageView | Artifact) -> str:
    """Return how the image's layers differ from usual ones, "" if they do not."""
    if isinstance(image, Artifact):
        return "artifact"
    if image.flattened:
        return "flattened"
    return "no whiteouts" if _whiteouts(store, image) is Whiteouts.NONE else ""
