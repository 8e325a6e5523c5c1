"""The images that a command line and lists name, and lists that are written again by --pin."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from importer.cli.options.images import ImageArguments, Lists
from importer.errors import ImporterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from importer.cli.options.given import Given
    from importer.files.image_lists import ImageList, Pinning
    from importer.progress import Progress
    from importer.run.result import Result
    from layers.lists.detect import ListRules
    from layers.lists.listed import Listed
    from layers.oci.reference import ImageName, Reference
    from layers.storage.image import Image


class NamedImages:
    """The images of the command line and of lists.

    `names` has their names in the store by reference; an empty list stands for the reference's own
    name. `artifacts` has the artifacts and the names given to them.
    """

    def __init__(self, given: Given) -> None:
        self._images, self._options = given(ImageArguments), given(Lists)
        self._lists: list[ImageList] = []
        self._pinning: Pinning | None = None
        self.names: dict[Reference, list[ImageName]] = {}
        self.artifacts: tuple[tuple[Reference, ImageName | None], ...] = ()

    def read(self) -> Self:
        """Parse the references, and read the lists. Raise a Fault if one is wrong."""
        if self._options.lists:
            self._lists, self._pinning = read_lists(self._options)
        names: dict[Reference, dict[ImageName | None, None]] = {}
        for reference, name in [*map(named_reference, self._images.references), *self._listed()]:
            names.setdefault(reference, {})[name] = None
        self.artifacts = tuple(dict.fromkeys(map(named_reference, self._images.artifacts)))
        if not names and not self.artifacts:
            raise ImporterError("no image is left to import", hint="--exclude matches all of them")
        self.names = {reference: _names(reference, given) for reference, given in names.items()}
        return self

    def _listed(self) -> Iterator[tuple[Reference, ImageName | None]]:
        from layers.errors import LayerError

        for image, rules in self._wanted():
            try:
                name = _given_name(image.name, image.where) if image.name else None
                yield image.reference(rules.transports), name
            except LayerError as error:
                raise ImporterError(error.message, hint=error.hint) from None

    def _wanted(self) -> Iterator[tuple[Listed, ListRules]]:
        """Yield the images of the lists without those that --exclude matches."""
        for listed in self._lists:
            for image in listed.images:
                if not any(fnmatchcase(image.source, each) for each in self._images.exclude):
                    yield image, listed.rules

    def warn(self, progress: Progress) -> Self:
        """Tell which images of the lists cannot start offline."""
        for warning in dict.fromkeys(image.warning for image, _ in self._wanted()):
            if warning:
                progress.message(warning)
        return self

    def pin(self, images: Iterable[Image]) -> None:
        """Write the lists again with these images' digests, if --pin says so."""
        if self._pinning is None:
            return
        pinned = {image.reference: image.reference.by_digest(image.digest) for image in images}
        self._pinning.write(
            {
                image.source: pinned[image.reference(rules.transports)]
                for image, rules in self._wanted()
            }
        )


def _names(reference: Reference, given: Iterable[ImageName | None]) -> list[ImageName]:
    """Return an image's names. None in `given` stands for the reference's own name; return an empty
    list if no other name was given."""
    names = [name or reference.name for name in given]
    return [name for name in names if name is not None] if any(given) else []


def named_reference(text: str) -> tuple[Reference, ImageName | None]:
    """Return the image of `NAME=REF` or `REF`.

    "=" is no part of a name; in a path, as of `oci:a=b`, no name stands before it.
    """
    from layers.oci.reference import ImageName, Reference

    name, equals, rest = text.partition("=")
    if equals and _is_name(name):
        return Reference.parse(rest), ImageName.parse(name)
    return Reference.parse(text), None


def _is_name(text: str) -> bool:
    from layers.errors import LayerError
    from layers.oci.reference import ImageName

    try:
        ImageName.parse(text)
    except LayerError:
        return False
    return True


def _given_name(text: str, where: str) -> ImageName:
    """Parse the name that a list gives an image. Raise LayerError if it is none."""
    from layers.errors import LayerError
    from layers.oci.reference import ImageName

    try:
        return ImageName.parse(text)
    except LayerError:
        raise LayerError(
            f"{where}: {text[:200]!r} is no name for an image in the store",
            hint=f"write a registry in front of it, for example localhost/{text[:100]}",
        ) from None


def read_lists(options: Lists) -> tuple[list[ImageList], Pinning | None]:
    """Read the lists. Return them, and what writes the pinned files, None without --pin.

    Raise ImporterError if a list cannot be read, or its pinned file cannot be written.
    """
    from importer.files.image_lists import Pinning, read_image_lists

    rules = options.rules
    lists = [listed for path in options.lists for listed in read_image_lists(path, rules)]
    return lists, Pinning(lists, options.pin) if options.pin is not None else None


def pinned(result: Result) -> dict[str, str]:
    """Return the components' references by digest, by their pullspecs.

    Raise ImporterError if a tag is at two digests, as that of two architectures can be.
    """
    from layers.digest import Digest

    references: dict[str, str] = {}
    for _, outcome in result.releases:
        for component in outcome.difference.release.components.values():
            digest = Digest.parse(component.digest)
            text = component.reference.by_digest(digest)
            if references.setdefault(component.pullspec, text) != text:
                raise ImporterError(
                    f"{component.pullspec} is another image for each architecture",
                    hint="pin the list for one architecture",
                )
    return references
