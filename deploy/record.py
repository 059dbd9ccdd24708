"""The record of a shipped image, which each step adds to and the next one reads."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.errors import DeployError

FILE = "record.json"


class Record(BaseModel):
    """What is known of the image so far."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")

    model: str = ""
    bento: str = ""
    image: str = ""
    image_id: str = ""
    digest: str = ""
    size_bytes: int = 0
    labels: dict[str, str] = {}
    pushed: str = ""

    @classmethod
    def read(cls, folder: Path, needs: str = "", step: str = "") -> Record:
        """The record in `folder`. Raises DeployError where it lacks what is needed: `step` writes it."""
        try:
            record = cls.model_validate_json((folder / FILE).read_bytes())
        except FileNotFoundError:
            record = cls()
        except (OSError, ValidationError) as error:
            raise DeployError(
                f"{folder / FILE} cannot be read ({error}): delete it and begin with `make build`."
            ) from None
        if needs and not getattr(record, needs):
            what = "pushed image" if needs == "pushed" else needs
            raise DeployError(f"{folder / FILE} names no {what}: run `make {step}` first.")
        return record

    def write(self, folder: Path) -> None:
        """Put the record into `folder`, in the place of an earlier one, whole."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{FILE}.new"
        draft.write_text(self.model_dump_json(indent=1) + "\n")
        draft.replace(folder / FILE)

    def by_digest(self) -> str:
        """What was pushed, as a reference that cannot come to mean another image."""
        return f"{self.pushed.rsplit(':', 1)[0]}@{self.digest}"

    def summary(self) -> str:
        """Tag, size and digest, in lines to be read."""
        return "\n".join(
            (
                f"model   {self.model}",
                f"bento   {self.bento}",
                f"image   {self.image}",
                f"size    {self.size_bytes / 1e6:.0f} MB",
                f"digest  {self.digest}",
                *([f"pushed  {self.pushed}"] if self.pushed else []),
            )
        )
