"""``promptflow._utils.multimedia_utils``, as projects use it: images out of what stands for one, and back again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import PromptflowException
from headrace.config import load_settings
from headrace.domain.multimedia import BASIC, VISION, Image, ImageError, inline_form, media_form
from headrace.formats.multimedia import (
    ImageReader,
    decode_base64,
    is_address,
    is_media_form,
    place_paths,
    save_images,
)
from headrace.providers.image_fetch import fetch_image

_KEY = re.compile(r"^data:image/(.*);(path|base64|url)$")


class ImageProcessor:
    """Makes images out of what stands for one."""

    @staticmethod
    def create_image_from_file(f: Path | str, mime_type: str | None = None) -> Image:
        """The image in a file."""
        return Image(Path(f).read_bytes(), mime_type=mime_type)

    @staticmethod
    def create_image_from_base64(base64_str: str, mime_type: str | None = None) -> Image:
        """The image that a text in base64, or a data URI, holds."""
        content = decode_base64(base64_str)
        if content is None:
            raise _invalid_input(reason="The text is not base64.")
        return Image(content, mime_type=mime_type)

    @staticmethod
    def create_image_from_url(url: str, mime_type: str | None = None) -> Image:
        """The image at an address, under the policy of headrace."""
        with _as_invalid_input():
            return Image(fetch_image(url, load_settings()), mime_type=mime_type, source_url=url)

    @staticmethod
    def create_image_from_string(value: str) -> Image:
        """The image that a text stands for: base64, an address, or a path."""
        image: Image = MultimediaProcessor.create().create_image(value)
        return image

    @staticmethod
    def is_base64(value: str) -> bool:
        """Whether a text is base64 or a data URI."""
        return decode_base64(value) is not None

    @staticmethod
    def is_url(value: str) -> bool:
        """Whether a text is an address."""
        return is_address(value)

    @staticmethod
    def get_extension_from_mime_type(mime_type: str) -> str | None:
        """``png`` for ``image/png``; nothing where the type is not known."""
        extension = mime_type.rpartition("/")[2]
        return None if extension == "*" else extension

    @staticmethod
    def get_multimedia_info(key: str) -> tuple[str | None, str | None]:
        """Type and kind of a key such as ``data:image/png;path``."""
        found = _KEY.match(key)
        return (found[1], found[2]) if found else (None, None)


class MultimediaProcessor:
    """Reads and writes the mappings of one message format."""

    message_format: ClassVar[str] = BASIC

    @staticmethod
    def create(message_format_type: str = BASIC) -> MultimediaProcessor:
        """The processor of a message format."""
        return (
            OpenaiVisionMultimediaProcessor() if message_format_type == VISION else BasicMultimediaProcessor()
        )

    def create_image(self, value: Any) -> Any:
        """The image that a text or a mapping stands for."""
        with _as_invalid_input():
            return self._reader.read(value, "image")

    def load_multimedia_data_recursively(self, value: Any) -> Any:
        """A copy in which every mapping of the message format is the image or text that it stands for."""
        with _as_invalid_input():
            return self._reader.read_inside(value)

    def persist_multimedia_data(
        self,
        value: Any,
        base_dir: Path,
        sub_dir: Path | None = None,
        use_absolute_path: bool = False,  # noqa: FBT001, FBT002 - the signature that projects call
        **_: Any,
    ) -> Any:
        """A copy in which images are mappings with the paths of files below ``base_dir``."""
        folder = Path(base_dir, sub_dir or "")
        shown = None if use_absolute_path else str(sub_dir or "")
        forms = _replaced(value, partial(media_form, message_format=self.message_format))
        return save_images(forms, folder, self.message_format, shown=shown)

    def resolve_multimedia_data_recursively(self, input_dir: Path, value: Any) -> Any:
        """A copy in which the relative paths of images begin at ``input_dir``."""
        return place_paths(value, Path(input_dir), self.message_format)

    def convert_multimedia_data_to_base64_dict(self, value: Any) -> Any:
        """A copy in which images are mappings with their content."""
        return _replaced(value, partial(inline_form, message_format=self.message_format))

    @staticmethod
    def convert_multimedia_data_to_string(value: Any, inplace: bool = False) -> Any:  # noqa: FBT001, FBT002
        """A copy in which images are their short texts."""
        del inplace
        return _replaced(value, str)

    def is_multimedia_dict(self, multimedia_dict: Mapping[str, Any]) -> bool:
        """Whether a mapping stands for an image, or for a text of the format ``openai-vision``."""
        return is_media_form(multimedia_dict, self.message_format)

    @property
    def _reader(self) -> ImageReader:
        fetch = partial(fetch_image, settings=load_settings())
        return ImageReader(message_format=self.message_format, folders=(Path(),), fetch=fetch)


class BasicMultimediaProcessor(MultimediaProcessor):
    """The mappings ``{"data:image/png;path": …}``."""


class OpenaiVisionMultimediaProcessor(MultimediaProcessor):
    """The items of a model's message."""

    message_format: ClassVar[str] = VISION


def persist_multimedia_data(
    value: Any, base_dir: Path, sub_dir: Path | None = None, use_absolute_path: bool = False,  # noqa: FBT001, FBT002
    multimedia_processor: MultimediaProcessor | None = None,
) -> Any:  # fmt: skip
    """As the method of the processor."""
    processor = multimedia_processor or BasicMultimediaProcessor()
    return processor.persist_multimedia_data(value, base_dir, sub_dir, use_absolute_path)


def load_multimedia_data_recursively(
    value: Any, multimedia_processor: MultimediaProcessor | None = None
) -> Any:
    """As the method of the processor."""
    return (multimedia_processor or BasicMultimediaProcessor()).load_multimedia_data_recursively(value)


def resolve_multimedia_data_recursively(
    input_dir: Path, value: Any, multimedia_processor: MultimediaProcessor | None = None
) -> Any:
    """As the method of the processor."""
    processor = multimedia_processor or BasicMultimediaProcessor()
    return processor.resolve_multimedia_data_recursively(input_dir, value)


def _replaced(value: Any, replace: Callable[[Image], Any]) -> Any:
    if isinstance(value, Image):
        return replace(value)
    if isinstance(value, Mapping):
        return {name: _replaced(item, replace) for name, item in value.items()}
    return [_replaced(item, replace) for item in value] if isinstance(value, list) else value


@contextmanager
def _as_invalid_input() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise _invalid_input(reason=f"The value is no image: {error}. {error.fix}") from error


def _invalid_input(*, reason: str) -> PromptflowException:
    return exception_family("promptflow._utils._errors")["InvalidImageInput"](reason)
