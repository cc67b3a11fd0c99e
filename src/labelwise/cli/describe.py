"""``labelwise describe``."""

from __future__ import annotations

from typing import Any

from labelwise.cli.options import Images, Json, OnBadItem, Table, table_options
from labelwise.cli.output import print_json, say, show_skipped


@table_options()
def describe(
    file: Table,
    columns: dict[str, Any],
    images: Images = None,
    on_bad_item: OnBadItem = None,
    json: Json = False,
) -> None:
    """Say what the labels of a table hold, and what can be judged with them."""
    from labelwise.runs import describe as describe_table

    found = describe_table(file, images=images, on_bad_item=on_bad_item, **columns)
    if json:
        print_json(found.to_dict())
    else:
        say(str(found))
        show_skipped(found.skipped)
