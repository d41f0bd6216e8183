"""From the files of images and masks, as people have them, to pixels and numbers."""

from zoo.data.decoding._images import decode_image
from zoo.data.decoding._masks import COLOUR, Values, decode_mask
from zoo.data.decoding._opening import (
    IMAGE_SUFFIXES,
    count_pages,
    image_content,
    image_header,
    read_bytes,
    suffix_of,
    upright_size,
    whole_pages,
)
from zoo.data.decoding._pages import page_name, split_page

__all__ = [
    "COLOUR",
    "IMAGE_SUFFIXES",
    "Values",
    "count_pages",
    "decode_image",
    "decode_mask",
    "image_content",
    "image_header",
    "page_name",
    "read_bytes",
    "split_page",
    "suffix_of",
    "upright_size",
    "whole_pages",
]
