"""Images in chat prompts (promptflow-format: 4.4).

A template is text, so an image prints in it as a short token. Where a line of a rendered message is nothing but the
token of an image, the image stands in the message; the other lines stand there as texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from headrace.domain.multimedia import Image
from headrace.tools.chat import Message

_SHOWN = re.compile(r"!\[\s*image\s*\]\(\{\{(\s*[^\s{}]+\s*)\}\}\)")


def give_images_lines(template: str) -> str:
    """A template in which ``![image]({{name}})`` puts the variable on a line of its own; lines keep their numbers."""
    return _SHOWN.sub(r'{{"\\n"}}{{\1}}{{"\\n"}}', template)


def place_images(messages: Iterable[Message], images: Iterable[Image]) -> list[Message]:
    """Messages in which the lines that are tokens of ``images`` are those images; one without any stays as it is."""
    by_token = {str(image): image for image in images}
    return [_place(message, by_token) if by_token else message for message in messages]


def _place(message: Message, images: dict[str, Image]) -> Message:
    content = message.get("content")
    lines = content.split("\n") if isinstance(content, str) else []
    if not any(line.strip() in images for line in lines):
        return message
    return {**message, "content": [_item(line, images) for line in lines if line.strip()]}


def _item(line: str, images: dict[str, Image]) -> dict[str, Any]:
    image = images.get(line.strip())
    if image is None:
        return {"type": "text", "text": line}
    url = image.source_url or image.to_base64(with_type=True)
    # Prompt flow's tools take a setting `detail` and send this all the same.
    return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}
