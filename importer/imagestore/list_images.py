"""`image-store list`: list the images of all stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.render.table import Block, Column, Shown, Table, Text
from importer.store.whiteouts import recorded_whiteouts
from layers.storage.layer_id import Whiteouts
from layers.words import age, size

if TYPE_CHECKING:
    from importer.store.find import Stores
    from importer.store.image import ImageView
    from importer.store.reader import StoreView

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


@dataclass(frozen=True, slots=True)
class Listing(Shown):
    """The images of some stores. `now` is in seconds since 1970; ages count from it."""

    stores: Stores
    now: int

    def blocks(self) -> list[Block]:
        """Return a row for each name, so that each can be copied, and then the skipped branches."""
        table = Table(_COLUMNS)
        for store in self.stores.found:
            for image in sorted(store.images, key=lambda i: i.full_label):
                table.rows.extend(self._rows(store, image))
        blocks: list[Block] = [table] if table.rows else [Text("no images")]
        blocks += [
            Text(f"skipped {branch.branch}: {branch.reason}", "yellow")
            for branch in self.stores.skipped
        ]
        return blocks

    def _rows(self, store: StoreView, image: ImageView) -> list[tuple[str, ...]]:
        first, *others = [*image.names] or ["<none>"]
        when = age(image.config.created_seconds, self.now)
        row = (
            ", ".join(image.components),
            first,
            _digest(image, first),
            image.id[:12],
            image.platform,
            str(len(image.layers)),
            size(image.size),
            _form(store, image),
            when,
            store.branch,
        )
        more = [("", name, _digest(image, name), image.id[:12], *[""] * 6) for name in others]
        return [row, *more]

    def document(self) -> dict[str, object]:
        stores = self.stores.found
        return {
            # [listed_image]: a list, by branch
            "images": [listed_image(s, image, self.now) for s in stores for image in s.images],
            "skipped": self.stores.skipped,  # [Skipped]: a list of branches
        }


def listed_image(store: StoreView, image: ImageView, now: int) -> dict[str, object]:
    """Return an image for JSON."""
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


def _whiteouts(store: StoreView, image: ImageView) -> Whiteouts | None:
    """Return how the image's layers delete files, if the branch tells; None if none does."""
    return None if image.flattened else recorded_whiteouts(store.commit)


def _form(store: StoreView, image: ImageView) -> str:
    """Return how the image's layers differ from usual ones, "" if they do not."""
    if image.flattened:
        return "flattened"
    return "no whiteouts" if _whiteouts(store, image) is Whiteouts.NONE else ""


def _digest(image: ImageView, name: str) -> str:
    """Return the first digits of the manifest's digest, or "" if the name has the digest."""
    digest = image.manifest.digest
    return "" if name.endswith(f"@{digest}") else digest.hex[:12]
