"""Page sizes and page tokens: a token is the row after which the next page begins."""

from __future__ import annotations

from edged.errors import InvalidInput

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
_BEYOND_ALL = 2**63 - 1


def checked_page_size(page_size: int) -> int:
    """1 to 200; 0 means 50. Raises InvalidInput."""
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidInput(f"page_size must be between 1 and {MAX_PAGE_SIZE}, not {page_size}", field="page_size")
    return page_size or DEFAULT_PAGE_SIZE


def row_before(page_token: str) -> int:
    """The row number that every row of the page is below. Raises InvalidInput."""
    if not page_token:
        return _BEYOND_ALL
    try:
        row = int(page_token, 16)
    except ValueError:
        row = 0
    if not 0 < row <= _BEYOND_ALL or page_token != token_after(row):
        raise InvalidInput("page_token is not one that an earlier page returned", field="page_token")
    return row


def token_after(row: int) -> str:
    """Token of the page that follows this row; newest rows come first."""
    return f"{row:x}"
