"""Names of labels with what lists and tables are written with."""

NAMES = [
    "sea",
    "sun & sand",
    "d'or",
    'say "hi"',
    "caf\u00e9",
    "a, b",
    "wind; cold",
    "[x]",
    "{y}",
    "<z>",
    "#t",
    "1",
]
