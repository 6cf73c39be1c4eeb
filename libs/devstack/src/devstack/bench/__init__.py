"""``make bench``: the figures of docs/design.md, "Figures to hold", each with its peer or limit in the same run."""
