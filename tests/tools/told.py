"""The messages of an import or a query, kept."""

from importer.progress import Silence


class Told(Silence):
    """Keeps the messages in their order."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        """Keep the text."""
        self.messages.append(text)
