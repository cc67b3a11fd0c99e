"""Roles of a table's columns: ids, features and labels, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from labelwise.data.tables import looks, wording
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.options import TableOptions, flag_of
from labelwise.errors import UserError, listed, near

Kind = Literal["features", "image", "text"]

_IDS = ("id", "item", "image", "text")
_CONTENTS = ("image", "text")


@dataclass(frozen=True)
class Roles:
    """The names of the columns that play each role.

    Attributes:
        content: The column of pictures or texts.
        told: Sentences on every column's role, and why.
        notes: Those guesses that a reader should look at.
    """

    item: str | None
    content: str | None
    kind: Kind
    features: tuple[str, ...]
    labels: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def assign_roles(
    columns: Columns,
    options: TableOptions,
    *,
    kind: str | None = None,
    expected: bool = False,
    require_labels: bool = True,
    require_items: bool = True,
    finds_pictures: Callable[[str], bool] | None = None,
    folder_named: bool = False,
    beside: bool = False,
) -> Roles:
    """Decide the role of each column.

    It has the role that the user gave it, else one by its cells or its name.

    Args:
        kind: That of the items that a trained model takes; None lets the columns decide.
        expected: The named columns are those of a trained model.
        require_items: False takes a table of labels alone.
        finds_pictures: Whether a column's cells name pictures in the pictures' folder.
        folder_named: The user named that folder.
        beside: Features are read beside pictures or texts, as they are where both are named.

    Raises:
        UserError: For a column that does not exist or plays two roles, one that could play two, and where features
            or labels are missing.
    """
    assignment = _Assignment(columns, options, kind, expected, finds_pictures, folder_named, beside)
    return assignment.roles(require_labels, require_items)


@dataclass
class _Assignment:
    columns: Columns
    options: TableOptions
    kind: str | None
    expected: bool
    finds_pictures: Callable[[str], bool] | None
    folder_named: bool
    beside: bool = False
    why: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    stated: set[str] = field(default_factory=set)

    def roles(self, require_labels: bool, require_items: bool) -> Roles:
        names = list(self.columns.data)
        if "" in names[1:]:
            raise UserError(
                f"{self.file}: column {names.index('', 1) + 1} has no name; name it in the first row"
            )
        for option in ("item_column", "text_column", "label_value"):
            self._check(getattr(self.options, option), option)
        self.words = {name.lower(): name for name in reversed(names)}
        index = [name for place, name in enumerate(names) if self._is_index(place, name)]
        ids = [self.words[word] for word in _IDS if word in self.words]
        named = [self.options.item_column, self.options.text_column, self.options.label_value]
        reserved = {*ids, *index, *(name for name in named if name is not None)}
        labels, flag = self._named_labels(reserved)
        features = self._matching("feature_columns", self.options.feature_columns, reserved)
        if both := [name for name in labels or () if name in (features or ())]:
            raise UserError(
                f"{self.file}: {listed(map(repr, both))} named as label and as feature; choose one"
            )
        chosen = frozenset(labels or ())
        ids = [name for name in ids if name not in chosen]
        index = [name for name in index if name not in chosen]
        for name in ids:
            # A column of states is a label, whatever its name; an id, a picture or a text is none of them.
            if name not in named and not self._is_different(name) and looks.holds_states(self.columns, name):
                self.stated.add(name)
        ids, reserved = [name for name in ids if name not in self.stated], reserved - self.stated
        # Ids before contents before features before labels: each takes what is left of those before it.
        item = self._item(ids, index)
        content = self._content(ids, chosen, features)
        free = [name for name in names if name not in reserved and name not in chosen and name != content]
        both_named = features is not None and content is not None and content == self.options.text_column
        if self.beside or both_named:
            content, features = self._content_and_features(content, features, free, labels)
        elif features is not None:
            self._leave_content(content, features)
            content = None
        elif content is None:
            features = self._features(free, labels)
            if not features:
                content = self._guessed_content(free, labels is not None)
            if not features and content is None:
                features = self._by_cells(free) if labels is None else self._remaining(free, require_items)
            if not (features or content) and self.folder_named and item and item == self.options.item_column:
                # Nothing else can be pictures: the reader names the files that are missing.
                content = item
                self._assign(item, "item ids and pictures", "--item-column and --images")
        features = features or []
        kind: Kind = "features" if content is None else self._kind_of(content)
        if labels is None:
            labels = [n for n in free if n not in features and n != content and n not in self.why]
            for name in [name for name in labels if not looks.holds_states(self.columns, name)]:
                if self._discards(name):
                    labels.remove(name)
            for name in labels:
                why = "its cells are states" if name in self.stated else "all other columns"
                self._assign(name, "labels", why)
            self._note_states(labels)
        else:
            for name in labels:
                self._assign(name, "names of labels" if self.options.labels_column else "labels", flag)
        self._complete(labels, features, kind, require_labels, require_items)
        if self.options.label_value is not None:
            self._assign(self.options.label_value, "states of the names", "--label-value")
        if any(self.why.get(name, ("", ""))[1] == "by name" for name in features):
            for name in [name for name in names if name not in self.why]:
                self._assign(name, "not used", "beside features known by name; --feature-columns takes it in")
        reasons = wording.reasons(list(self.columns.data), self.why, item)
        return Roles(item, content, kind, tuple(features), tuple(labels), reasons, tuple(self.notes))

    @property
    def file(self) -> str:
        return self.columns.path.name

    def _check(self, name: str | None, option: str) -> None:
        if name is not None and name not in self.columns.data:
            raise UserError(_missing(self.file, name, self.columns.data, flag_of(option)))

    def _is_different(self, name: str) -> bool:
        """Return whether few rows may have the ids 1 and 0."""
        return self.columns.rows <= 2 and name.lower() not in _CONTENTS and looks.are_ids(self.columns, name)

    def _assign(self, name: str, role: str, why: str) -> None:
        self.why[name] = (role, why)

    def _is_index(self, place: int, name: str) -> bool:
        """Return whether a column numbers the rows.

        A column that the user named is what it was named.
        """
        chosen = self.options.feature_columns
        named = name in ((chosen,) if isinstance(chosen, str) else chosen or ())
        return not named and wording.numbers_rows(self.columns, name, place)

    def _named_labels(self, reserved: Collection[str]) -> tuple[list[str] | None, str]:
        if self.options.labels_column is not None:
            return self._matching("labels_column", [self.options.labels_column], reserved), "--labels-column"
        flag = "the model's" if self.expected else "--label-columns"
        return self._matching("label_columns", self.options.label_columns, reserved), flag

    def _matching(
        self, option: str, patterns: Sequence[str] | str | None, ids: Collection[str]
    ) -> list[str] | None:
        """Return the columns that names and patterns stand for.

        They come in the order given; no pattern matches an id.
        """
        if patterns is None:
            return None
        chosen: dict[str, None] = {}
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            hits = [pattern]
            if pattern not in self.columns.data:
                hits = [c for c in self.columns.data if c not in ids and fnmatchcase(c, pattern)]
            if not hits:
                raise UserError(_missing(self.file, pattern, self.columns.data, flag_of(option)))
            chosen.update(dict.fromkeys(hits))
        return list(chosen)

    def _item(self, ids: Sequence[str], index: Sequence[str]) -> str | None:
        """Return the column of ids, and say what index columns are for."""
        item = self.options.item_column
        if item is not None:
            self._assign(item, "item ids", "--item-column")
        else:
            texts = {"text", *(n.lower() for n in (self.options.text_column,) if n is not None)}
            item = next((name for name in ids if name.lower() not in texts), None)
            if (
                item is not None
                and looks.holds_pictures(self.columns, item)
                and not looks.paths_are_ids(self.columns, item)
            ):
                item = None
            if item is not None and self.expected and self._repeats(item):
                self.notes.append(f"{item!r} holds some ids twice; the items are known by their row numbers")
                item = None
            if item is not None:
                self._assign(item, "item ids", "by name")
        for name in index:
            why = "an index, which numbers the rows"
            if item is None and looks.are_ids(self.columns, name):
                item = name
                self._assign(name, "item ids", why)
            elif name != item:
                self._assign(name, "not used", why)
        return item

    def _repeats(self, name: str) -> bool:
        """Return whether ids come twice where each row is an item."""
        may_repeat = self.options.labels_column is None and not looks.is_nested(self.columns, name)
        return may_repeat and not looks.are_ids(self.columns, name)

    def _content(
        self, ids: Sequence[str], labels: Collection[str], features: Sequence[str] | None
    ) -> str | None:
        """Return the column of pictures or texts, never a label.

        Pictures come first where ``kind`` does not say.
        """
        if self.kind == "features":
            return None
        text, item = self.options.text_column, self.options.item_column
        if text is not None and self.kind in (None, "text"):
            if text in labels:
                raise UserError(f"{self.file}: {text!r} named as text and as label; choose one")
            self._assign(text, "texts", "--text-column")
            return text
        words = {name.lower(): name for name in ids}
        if self.kind in (None, "image") and (item is not None and item not in labels):
            sure = self.options.image_suffix is not None or looks.names_pictures(self.columns, item)
            sure = sure or looks.holds_pictures(self.columns, item)
            if sure or self._finds(item):
                why = "--item-column" + ("" if sure else ", and its cells name files in --images")
                self._assign(item, "item ids and pictures", why)
                return item
        for word in _CONTENTS:
            if self.kind in (None, word) and word in words:
                name = words[word]
                pictures = word == "image" or looks.holds_pictures(self.columns, name)
                both = self.why.get(name, ("", ""))[0] == "item ids" and pictures
                role = "item ids and pictures" if both else "pictures" if pictures else "texts"
                self._assign(name, role, "by name")
                return name
        if self.kind is not None and features is None:
            free = [n for n in self.columns.data if n not in labels and n not in ids]
            guess = self._guessed_content(free, True)
            if guess is not None and self._kind_of(guess) == self.kind:
                return guess
            if self.kind == "image" and item is not None:
                self._assign(item, "item ids and pictures", "--item-column")
                return item
            raise UserError(
                f"{self.file}: the model takes {self.kind}s, and there is no column {self.kind!r}; name it so, or name"
                f" the column with {'--text-column' if self.kind == 'text' else '--item-column'}"
            )
        return None

    def _finds(self, name: str) -> bool:
        return self.finds_pictures is not None and self.finds_pictures(name)

    def _content_and_features(
        self,
        content: str | None,
        features: Sequence[str] | None,
        free: Sequence[str],
        labels: Sequence[str] | None,
    ) -> tuple[str, list[str]]:
        """Return the column of pictures or texts, and the features beside it."""
        if content is None:
            content = self._guessed_content([name for name in free if name not in (features or ())], True)
        if content is None:
            raise UserError(
                f"{self.file}: no column of texts or pictures to read beside the features; name that of texts with"
                " text_column (--text-column), that of pictures with item_column (--item-column), or leave 'columns'"
                " out of the backbone"
            )
        self._assign_features(features or ())
        rest = [name for name in free if name != content]
        found = list(features or self._features(rest, labels))
        if not found and labels is not None:
            # Columns of words are features only where they were asked for.
            found = self._remaining(rest, self.options.encode is not None)
        if not found:
            raise UserError(
                f"{self.file}: no feature columns beside {content!r}; name them with feature_columns"
                " (--feature-columns), or leave 'columns' out of the backbone"
            )
        return content, found

    def _leave_content(self, content: str | None, features: Sequence[str]) -> None:
        """Leave pictures and texts aside, since features are named."""
        self._assign_features(features)
        if content is not None and content == self.options.item_column:
            self._assign(content, "item ids", "--item-column")
        elif content is not None:
            self.why.pop(content, None)

    def _assign_features(self, names: Sequence[str]) -> None:
        for name in names:
            self._assign(name, "features", "the model's" if self.expected else "--feature-columns")

    def _kind_of(self, content: str) -> Kind:
        return "text" if self.why[content][0] == "texts" else "image"

    def _guessed_content(self, free: Sequence[str], labels_named: bool) -> str | None:
        """Return the column that clearly holds pictures or texts, whatever its name."""
        free = [name for name in free if name not in self.why]
        if self.kind in (None, "image"):
            for test, why in (
                (lambda n: looks.holds_pictures(self.columns, n), "its cells hold pictures"),
                (lambda n: looks.names_pictures(self.columns, n), "its cells end as pictures' files do"),
                (self._finds, "its cells name files in --images"),
            ):
                candidates = [name for name in free if test(name)]
                if len(candidates) > 1:
                    raise UserError(
                        f"{self.file}: columns {listed(map(repr, candidates))} all hold pictures: say which by"
                        " item_column (--item-column)"
                    )
                if candidates:
                    self._assign(candidates[0], "pictures", why)
                    self.notes.append(f"{candidates[0]!r} is read as the pictures: {why}")
                    return candidates[0]
        if self.kind in (None, "text"):
            texts = [
                name
                for name in free
                if looks.holds_texts(self.columns, name)
                or (wording.TEXTS.fullmatch(name) and looks.holds_words(self.columns, name))
            ]
            if len(texts) > 1:
                raise UserError(
                    f"{self.file}: columns {listed(map(repr, texts))} all look like texts: say which one by"
                    " text_column (--text-column)"
                )
            if texts and (labels_named or len(free) > 1):
                self._assign(texts[0], "texts", "its cells are texts")
                self.notes.append(
                    f"{texts[0]!r} is read as the texts, since its cells are sentences; --text-column names another"
                )
                return texts[0]
        return None

    def _features(self, free: Sequence[str], labels: Sequence[str] | None) -> list[str]:
        """Return the columns of features, by name and by form.

        Those that hold states may be labels all the same.
        """
        vectors = {name for name in free if self.columns.is_vector(name)}
        numbered = [name for name in free if name in vectors or wording.NUMBERED.search(name)]
        worded = [name for name in free if name not in numbered and wording.WORDED.search(name)]
        for name in [name for name in worded if self._counts(name)]:
            self._discard(name, "it counts the rows")
            worded.remove(name)
        if labels is None:
            numbered, worded = self._without_labels(numbered, worded, vectors)
        by_form = {*numbered, *worded}
        for name in by_form:
            self._assign(name, "features", "lists of numbers" if name in vectors else "by name")
        return [name for name in free if name in by_form]

    def _without_labels(
        self, numbered: list[str], worded: list[str], vectors: Collection[str]
    ) -> tuple[list[str], list[str]]:
        """Return the candidates that are features.

        The others hold states only, beside features that do not.
        """
        stems = [wording.STEM.sub("", name).lower() for name in numbered]
        unnumbered = [
            name
            for name, stem in zip(numbered, stems, strict=True)
            if name not in vectors and stems.count(stem) == 1
        ]
        doubtful = [name for name in (*worded, *unnumbered) if looks.holds_states(self.columns, name)]
        sure = [name for name in numbered if name not in doubtful]
        if not doubtful or not (rest := [n for n in (*sure, *worded) if n not in doubtful]):
            return numbered, worded
        real = [name for name in rest if name in vectors or not looks.holds_states(self.columns, name)]
        empty = [name for name in doubtful if None in self.columns.strings(name)]
        unclear = [n for n in doubtful if n not in empty and (n in unnumbered or not real)]
        # To guess here would train on the answers, or predict an input: the user is asked.
        if unclear:
            name = unclear[0]
            raise UserError(
                f"{self.file}: {name!r} is named like a feature and holds 1 and 0 like a label: say which by"
                f" --label-columns (with all other labels) or --feature-columns, such as --feature-columns {name!r}"
            )
        self.stated.update(doubtful)
        return [n for n in numbered if n not in doubtful], [n for n in worded if n not in doubtful]

    def _note_states(self, labels: Sequence[str]) -> None:
        """Note which labels have the name of something else."""
        stated = [name for name in labels if name in self.stated]
        if stated:
            kind = (
                "labels, not what their names say" if len(stated) > 1 else "a label, not what its name says"
            )
            self.notes.append(
                f"{listed(map(repr, stated))}: the cells are 1, 0 or nothing, so taken as {kind};"
                " --feature-columns says which columns are features"
            )

    def _by_cells(self, free: Sequence[str]) -> list[str]:
        """Return the columns of numbers beside columns of states, where the names say nothing."""
        flat = [name for name in free if not looks.is_nested(self.columns, name)]
        states = [name for name in flat if looks.holds_states(self.columns, name)]
        others = [name for name in flat if looks.seldom_states(self.columns, name)]
        numbers = [name for name in others if looks.holds_numbers(self.columns, name)]
        numbers = [name for name in numbers if not self._discards(name)]
        for name in numbers:
            self._assign(name, "features", "by their numbers")
        if numbers and states:
            self.notes.append(
                f"taken as labels, since they hold 1 and 0: {listed(map(repr, states))}; as features, since they hold"
                f" other numbers: {listed(map(repr, numbers))}; --label-columns says which columns are labels"
            )
        return numbers

    def _remaining(self, free: Sequence[str], require_items: bool) -> list[str]:
        """Return all that is left as features, but for ids and days."""
        features = []
        for name in free:
            flat = not self.columns.is_vector(name)
            words = looks.holds_words(self.columns, name) and not looks.holds_numbers(self.columns, name)
            if flat and self._discards(name):
                continue
            if flat and words and not require_items:
                self._assign(name, "not used", "it holds words; --encode onehot makes features of them")
            else:
                self._assign(name, "features", "all that is left beside the labels")
                features.append(name)
        return features

    def _discards(self, name: str) -> bool:
        """Leave out a column that is no feature, and say so."""
        if self._counts(name):
            self._discard(name, "it counts the rows")
        elif looks.holds_dates(self.columns, name):
            self._discard(name, "it holds dates")
        elif wording.IDENTIFIER.search(name):
            self._discard(name, "an id by its name")
        return name in self.why

    def _counts(self, name: str) -> bool:
        return self.columns.rows > 2 and looks.counts_rows(self.columns, name)

    def _discard(self, name: str, why: str) -> None:
        self._assign(name, "not used", why)
        self.notes.append(
            f"{name!r} is no feature and no label: {why}; --feature-columns would make it a feature"
        )

    def _complete(
        self,
        labels: Sequence[str],
        features: Sequence[str],
        kind: Kind,
        require_labels: bool,
        require_items: bool,
    ) -> None:
        shown = listed(map(repr, self.columns.data), 12)
        if kind == "features" and not features and require_items:
            raise UserError(f"{self.file}: {wording.no_items(self.columns, shown)}")
        if require_labels and not labels:
            raise UserError(
                f"{self.file}: no label columns among {shown}; name them with label_columns (--label-columns), or a"
                " column of label names with labels_column (--labels-column)"
            )


def _missing(file: str, name: str, columns: Collection[str], flag: str) -> str:
    return f"{file}: {flag} names {name!r}, which is no column; {near(name, columns)}"
