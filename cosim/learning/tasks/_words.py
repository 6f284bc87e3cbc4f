"""Word lists of the generated tasks: every word is one token of the builtin tiny model."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Sentiment
SUBJECTS = _words("film book meal hotel show song game play staff room trip service")
POSITIVE = _words("great lovely superb bright warm fresh clever charming funny fine smart sweet")
NEGATIVE = _words("dull awful poor cold stale weak dirty rude slow boring sad sour")
EMPHASIS = _words("very really quite")
NEGATION = _words("not never hardly")

# Topic of a headline, as in AG News
TOPICS = {
    "sport": _words("team coach match goal league player race cup fans stadium"),
    "money": _words("bank market price stock tax trade profit loan shares sales"),
    "science": _words("planet cell robot virus comet lab atom fossil gene laser"),
    "politics": _words("vote minister treaty border election law army senate king capital"),
}
NEWS_VERBS = _words("sees faces meets wants fears praises")
NEWS_LINKS = _words("after before over despite")

# Who has what in the end
PEOPLE = _words("Anna Tom Maria Sam Lena Paul Nora Max Eva Ben")
THINGS = _words("key map bag coin ring pen clock lamp rope phone")
GIVING = _words("sold lent sent handed passed")
TAKING = _words("bought borrowed won got earned")

# Odd one out
CATEGORIES = {
    "animal": _words("lion bear horse wolf tiger goat fox deer mouse camel"),
    "fruit": _words("apple pear plum grape lemon mango peach melon cherry fig"),
    "tool": _words("hammer saw drill axe wrench chisel shovel rake pliers file"),
    "dress": _words("shirt coat hat sock scarf glove boot belt skirt shoe"),
}

# Code
NAMES = _words("a b c x y z")
FUNCTIONS = _words("f g h")
