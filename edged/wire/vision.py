"""What can be seen in a picture."""

from __future__ import annotations

from collections.abc import Iterable

from edged import records
from edged.errors import InvalidInput
from edged.v1 import vision_pb2 as pb
from edged.wire.values import copy_from_wire, copy_to_wire

_CORNERS = 4


def picture_text_to_wire(read: records.PictureText) -> pb.PictureText:
    return copy_to_wire(
        read,
        pb.PictureText,
        lines=[copy_to_wire(line, pb.TextLine, corners=_corners_to_wire(line.corners)) for line in read.lines],
        rows=[pb.TextRow(cells=row) for row in read.rows],
    )


def picture_text_from_wire(read: pb.PictureText) -> records.PictureText:
    return records.PictureText(
        width=read.width,
        height=read.height,
        lines=tuple(
            records.TextLine(
                text=line.text, confidence=line.confidence, corners=_corners_from_wire(line.corners, "lines")
            )
            for line in read.lines
        ),
        rows=tuple(tuple(row.cells) for row in read.rows),
        text=read.text,
        markdown=read.markdown,
    )


def description_to_wire(description: records.PictureDescription) -> pb.DescribeResponse:
    return pb.DescribeResponse(
        text=description.text,
        read=picture_text_to_wire(description.read),
        codes=[copy_to_wire(code, pb.VisualCode, corners=_corners_to_wire(code.corners)) for code in description.codes],
        colours=[copy_to_wire(colour, pb.ColourShare) for colour in description.colours],
        seen=None if description.objects is None else _objects_to_wire(description.objects),
    )


def description_from_wire(description: pb.DescribeResponse) -> records.PictureDescription:
    return records.PictureDescription(
        text=description.text,
        read=picture_text_from_wire(description.read),
        codes=tuple(
            records.VisualCode(kind=code.kind, text=code.text, corners=_corners_from_wire(code.corners, "codes"))
            for code in description.codes
        ),
        colours=tuple(copy_from_wire(colour, records.ColourShare) for colour in description.colours),
        objects=_objects_from_wire(description.seen) if description.HasField("seen") else None,
    )


def _objects_to_wire(objects: Iterable[records.SeenObject]) -> pb.SeenObjects:
    return pb.SeenObjects(
        objects=[copy_to_wire(each, pb.SeenObject, corners=_corners_to_wire(each.corners)) for each in objects]
    )


def _objects_from_wire(seen: pb.SeenObjects) -> tuple[records.SeenObject, ...]:
    return tuple(
        records.SeenObject(
            name=each.name, confidence=each.confidence, corners=_corners_from_wire(each.corners, "objects")
        )
        for each in seen.objects
    )


def picture_search_to_wire(search: records.PictureSearch) -> pb.FindResponse:
    return pb.FindResponse(
        found=[copy_to_wire(each, pb.FoundText, corners=_corners_to_wire(each.corners)) for each in search.found],
        only_words=search.only_words,
    )


def picture_search_from_wire(search: pb.FindResponse) -> records.PictureSearch:
    return records.PictureSearch(
        found=tuple(
            records.FoundText(
                text=each.text,
                confidence=each.confidence,
                corners=_corners_from_wire(each.corners, "found"),
                is_object=each.is_object,
            )
            for each in search.found
        ),
        only_words=search.only_words,
    )


def _corners_to_wire(corners: records.Corners) -> list[pb.Point]:
    return [pb.Point(x=x, y=y) for x, y in corners]


def _corners_from_wire(corners: Iterable[pb.Point], field: str) -> records.Corners:
    points = tuple((corner.x, corner.y) for corner in corners)
    if len(points) != _CORNERS:
        raise InvalidInput(f"{field} holds a place that has not four corners", field=field)
    return points
