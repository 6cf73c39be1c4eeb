"""What requests and answers look like; names and units are docs/design.md §7's."""
