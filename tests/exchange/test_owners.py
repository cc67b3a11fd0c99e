"""Small files as each format's owner describes it, with the states that they say."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from labelwise.errors import UserError
from labelwise.exchange import convert, names, read_labels
from tests.exchange.cases import by_name

COCO = {
    "images": [
        {"id": 5, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 9, "file_name": "b.jpg", "width": 10, "height": 20},
    ],
    "annotations": [
        {"id": 1, "image_id": 5, "category_id": 18, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
        {"id": 2, "image_id": 5, "category_id": 18, "bbox": [9, 2, 3, 4], "area": 12, "iscrowd": 1},
    ],
    "categories": [
        {"id": 18, "name": "dog", "supercategory": "animal"},
        {"id": 17, "name": "cat", "supercategory": "animal"},
    ],
}
LVIS = {
    "images": [
        {
            "id": 397133,
            "coco_url": "http://localhost/val2017/000000397133.jpg",
            "width": 640,
            "height": 427,
            "neg_category_ids": [2],
            "not_exhaustive_category_ids": [1, 3],
        }
    ],
    "annotations": [{"id": 1, "image_id": 397133, "category_id": 1, "bbox": [0, 0, 1, 1], "area": 1}],
    "categories": [
        {"id": k, "name": name, "synset": name, "frequency": "r"} for k, name in enumerate("abcd", 1)
    ],
}
ARGILLA = [
    {
        "id": "r1",
        "status": "completed",
        "fields": {"text": "late again"},
        "metadata": {},
        "suggestions": {"topics": {"value": ["late", "lost"], "score": [0.75, 0.25], "agent": "m"}},
        "responses": {
            "topics": [{"value": ["late"], "user_id": "u1"}, {"value": ["late", "lost"], "user_id": "u2"}]
        },
        "vectors": {},
    },
    {"id": "r2", "fields": {"text": "thanks"}, "suggestions": {}, "responses": {}},
]
MIN = [
    {"id": 1, "text": "late", "topic": {"choices": ["late", "lost"]}, "annotator": 1, "annotation_id": 3},
    {"id": 2, "text": "lost", "topic": "lost", "annotator": 1, "annotation_id": 4},
    {"id": 3, "text": "fine", "annotator": 1, "annotation_id": 5},
]
FIFTYONE = {
    "name": "photos",
    "media_type": "image",
    "samples": [
        {
            "filepath": "/data/a.jpg",
            "ground_truth": {
                "_cls": "Classifications",
                "classifications": [{"_cls": "Classification", "label": "cat", "tags": []}],
            },
            "predictions": {
                "_cls": "Classifications",
                "classifications": [{"_cls": "Classification", "label": "dog", "confidence": 0.5}],
            },
        },
        {"filepath": "/data/b.jpg", "ground_truth": None},
    ],
}
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels>
    <label><name>cat</name><type>tag</type></label>
    <label><name>dog &amp; co</name><type>tag</type></label>
    <label><name>never</name></label>
  </labels></task></meta>
  <image id="0" name="a.jpg" width="640" height="480">
    <tag label="cat" source="manual"></tag>
    <box label="dog &amp; co" occluded="0" xtl="1" ytl="1" xbr="2" ybr="2"></box>
  </image>
  <image id="1" name="b.jpg" width="10" height="20"></image>
</annotations>
"""
DOCCANO = '{"id": 1, "text": "late", "label": ["late", "lost"]}\n{"id": 2, "text": "fine", "label": []}\n'
LIBSVM = "3 4 3\n0,2 0:1.5 3:2\n 1:1\n1 \n"
MEKA = """@relation 'scenes: -C 2'
@attribute beach {0,1}
@attribute 'the sea' {0,1}
@attribute f1 numeric
@data
1,0,0.5
?,1,-2
"""
MULAN = "@relation 'scenes: -C -1'\n@attribute f1 numeric\n@attribute sea {0,1}\n@data\n0.5,1\n2,?\n"


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("form", "name", "content", "unlisted", "items", "labels", "matrix"),
    [
        ("coco", "c.json", COCO, "absent", ["a.jpg", "b.jpg"], ["dog", "cat"], [[1, 0], [0, 0]]),
        ("coco", "c.json", COCO, "unknown", ["a.jpg", "b.jpg"], ["dog", "cat"], [[1, -1], [-1, -1]]),
        ("lvis", "l.json", LVIS, None, ["000000397133.jpg"], ["a", "b", "c", "d"], [[1, 0, -1, -1]]),
        ("argilla", "a.json", ARGILLA, "absent", ["r1", "r2"], ["late", "lost"], [[1, -1], [-1, -1]]),
        (
            "label-studio-min",
            "m.json",
            MIN,
            "absent",
            ["1", "2", "3"],
            ["late", "lost"],
            [[1, 1], [0, 1], [0, 0]],
        ),
        (
            "fiftyone",
            "f.json",
            FIFTYONE,
            "absent",
            ["/data/a.jpg", "/data/b.jpg"],
            ["cat", "dog"],
            [[1, 0], [-1, -1]],
        ),
        (
            "cvat",
            "v.xml",
            CVAT,
            "absent",
            ["a.jpg", "b.jpg"],
            ["cat", "dog & co", "never"],
            [[1, 1, 0], [0, 0, 0]],
        ),
        ("doccano", "d.jsonl", DOCCANO, "absent", ["1", "2"], ["late", "lost"], [[1, 1], [0, 0]]),
        (
            "libsvm",
            "x.txt",
            LIBSVM,
            "absent",
            ["1", "2", "3"],
            ["0", "1", "2"],
            [[1, 0, 1], [0, 0, 0], [0, 1, 0]],
        ),
        ("meka", "s.arff", MEKA, None, ["1", "2"], ["beach", "the sea"], [[1, 0], [-1, 1]]),
        ("meka", "s.arff", MULAN, None, ["1", "2"], ["sea"], [[1], [-1]]),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_a_file_of_its_owner(tmp_path, form, name, content, unlisted, items, labels, matrix):
    given = {} if unlisted is None else {"unlisted": unlisted}
    read, found = read_labels(write(tmp_path / name, content), **given)
    assert found.name == form
    assert list(read.items) == items
    assert list(read.label_names) == labels
    assert read.matrix.tolist() == matrix


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", COCO),
        ("a.json", ARGILLA),
        ("m.json", MIN),
        ("f.json", FIFTYONE),
        ("v.xml", CVAT),
        ("d.jsonl", DOCCANO),
        ("x.txt", LIBSVM),
    ],
)
def test_silence_is_never_taken_for_no(tmp_path, name, content):
    with pytest.raises(UserError, match=r"--unlisted unknown \(nobody said\) or --unlisted absent"):
        read_labels(write(tmp_path / name, content))


def test_what_stands_beside_the_labels_is_read(tmp_path):
    coco, _ = read_labels(write(tmp_path / "c.json", COCO), unlisted="unknown")
    assert coco.contents == ["a.jpg", "b.jpg"]
    assert coco.sizes.tolist() == [[640, 480], [10, 20]]
    argilla, _ = read_labels(write(tmp_path / "a.json", ARGILLA), unlisted="unknown")
    np.testing.assert_array_equal(argilla.scores, [[0.75, 0.25], [np.nan, np.nan]])
    fiftyone, _ = read_labels(write(tmp_path / "f.json", FIFTYONE), unlisted="unknown")
    np.testing.assert_array_equal(fiftyone.scores, [[np.nan, 0.5], [np.nan, np.nan]])
    cvat, _ = read_labels(write(tmp_path / "v.xml", CVAT), unlisted="unknown")
    assert "1 boxes and other shapes are read as labels of their picture" in cvat.notes
    svm, _ = read_labels(write(tmp_path / "x.txt", LIBSVM), unlisted="unknown")
    assert svm.features.toarray().tolist() == [[1.5, 0, 0, 2], [0, 1, 0, 0], [0, 0, 0, 0]]
    meka, _ = read_labels(write(tmp_path / "s.arff", MEKA))
    assert meka.features.tolist() == [[0.5], [-2]]


def hugging_face(path, labels, feature, **columns):
    features = {"labels": feature, "text": {"dtype": "string", "_type": "Value"}}
    table = pa.table({"labels": labels, **columns})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize(
    "feature",
    [
        {
            "feature": {"names": ["cat", "dog", "never"], "_type": "ClassLabel"},
            "_type": "Sequence",
            "length": -1,
        },
        {"feature": {"names": ["cat", "dog", "never"], "_type": "ClassLabel"}, "_type": "List"},
        [{"names": ["cat", "dog", "never"], "_type": "ClassLabel"}],
    ],
    ids=["Sequence", "List", "older"],
)
def test_lists_of_classes_have_their_names(tmp_path, feature):
    labels = pa.array([[1, 0], [], None], pa.list_(pa.int64()))
    path = hugging_face(tmp_path / "h.parquet", labels, feature, text=["a", "b", "c"])
    with pytest.raises(UserError, match="--unlisted"):
        read_labels(path)
    items, form = read_labels(path, unlisted="absent")
    assert form.name == "huggingface"
    assert items.label_names == ("cat", "dog", "never")
    assert items.matrix.tolist() == [[1, 1, 0], [0, 0, 0], [-1, -1, -1]]
    assert items.contents == ["a", "b", "c"]


def test_numbers_a_label_are_states_and_null_is_unknown(tmp_path):
    labels = pa.array([[1.0, 0.0, None], None], pa.list_(pa.float32()))
    feature = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    items, form = read_labels(hugging_face(tmp_path / "h.parquet", labels, feature, text=["a", "b"]))
    assert form.name == "huggingface-multihot"
    assert items.matrix.tolist() == [[1, 0, -1], [-1, -1, -1]]
    assert items.label_names == ("label_0", "label_1", "label_2")
    assert "no names for its 3 labels" in items.notes[0]


def test_pictures_within_parquet_keep_their_bytes(tmp_path):
    labels = pa.array([[0], []], pa.list_(pa.int64()))
    feature = {"feature": {"names": ["cat"], "_type": "ClassLabel"}, "_type": "Sequence"}
    pictures = pa.array([{"bytes": b"\x89PNG", "path": "a.png"}, {"bytes": None, "path": "b.png"}])
    path = hugging_face(tmp_path / "h.parquet", labels, feature, image=pictures)
    items, _ = read_labels(path, unlisted="absent")
    assert items.kind == "image"
    assert items.contents == [b"\x89PNG", "b.png"]
    assert by_name(items) == {("a.png", "cat"): 1, ("b.png", "cat"): 0}
    done = convert(path, tmp_path / "names.csv", unlisted="absent")
    assert done.left_out == ("the pictures within the file (each is named by its item)",)
    assert (tmp_path / "names.csv").read_text() == "image,cat\na.png,1\nb.png,0\n"
    assert convert(path, tmp_path / "pictures.parquet", unlisted="absent").left_out == ()


BOMB = """<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]>\n<annotations>&c;</annotations>"""
OUTSIDE = """<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>\n<annotations>&b;</annotations>"""


@pytest.mark.parametrize(
    ("form", "name", "content", "words"),
    [
        ("cvat", "v.xml", BOMB, "declares a document type"),
        ("cvat", "v.xml", OUTSIDE, "declares a document type"),
        ("cvat", "v.xml", "<annotations>", "is not XML: no element found at line 1"),
        ("cvat", "v.xml", "<a>" * 100_000, "nests deeper than 32"),
        ("cvat", "v.xml", '<?xml version="1.0" encoding="uvf-8"?><annotations/>', "unknown encoding: uvf-8"),
        ("cvat", "v.xml", '<?xml version="1.0" encoding="shift_jis"?><annotations/>', "save it as UTF-8"),
        ("cvat", "v.xml", "<other/>", "its root is 'other'"),
        ("cvat", "v.xml", "<annotations><track/></annotations>", "tracks of a video"),
        (
            "cvat",
            "v.xml",
            "<annotations><image name='a'><tag/></image></annotations>",
            "the label of a tag is None",
        ),
        ("cvat", "v.xml", "<annotations></annotations>", "holds no items"),
        ("cvat", "v.xml", "<annotations><image name='a'/></annotations>", "names no label"),
        ("coco", "c.json", {"images": 3}, "'images' is 3, not a list"),
        ("coco", "c.json", COCO | {"categories": [{"id": 1}]}, "category 1: its name is None"),
        ("coco", "c.json", COCO | {"categories": COCO["categories"] * 2}, "id 18 is already that of 'dog'"),
        ("coco", "c.json", COCO | {"images": []}, "annotations name images that are not there: 5"),
        (
            "coco",
            "c.json",
            COCO | {"annotations": [{"image_id": 5, "category_id": 10**40}]},
            "none of the categories",
        ),
        (
            "coco",
            "c.json",
            COCO | {"annotations": [{"image_id": True, "category_id": 18}]},
            "'image_id' is True",
        ),
        ("coco", "c.json", [1], "not one JSON object"),
        (
            "lvis",
            "l.json",
            LVIS | {"images": [{"id": 397133, "neg_category_ids": [77]}]},
            "names 77, which is none",
        ),
        ("lvis", "l.json", LVIS | {"images": [{"id": 397133, "neg_category_ids": 5}]}, "not a list of ids"),
        (
            "lvis",
            "l.json",
            LVIS | {"images": [{"id": 397133, "neg_category_ids": [1]}]},
            "as relevant and as irrelevant",
        ),
        ("argilla", "a.json", [{"fields": 3}], "'fields' is 3"),
        ("argilla", "a.json", [{"id": "r", "fields": {}, "responses": []}], "holds no|names no label"),
        ("argilla", "a.json", [{"fields": {}, "responses": {"q": 5}}], "its responses are 5"),
        (
            "argilla",
            "a.json",
            [{"fields": {}, "suggestions": {"q": {"value": ["a", "b"], "score": [0.1]}}}],
            "2 labels and 1 scores",
        ),
        ("argilla", "a.json", [{"fields": {}, "metadata": {"labelwise": "{"}}], "not an object as JSON"),
        (
            "label-studio-min",
            "m.json",
            [{"id": 1, "a": "x", "b": "y"}],
            "which field holds the choices is not clear",
        ),
        ("fiftyone", "f.json", {"samples": [{"filepath": 3.5}]}, "its filepath is 3.5"),
        (
            "fiftyone",
            "f.json",
            {
                "samples": [
                    {"filepath": "a", "predictions": {"_cls": "Classifications", "classifications": []}}
                ]
            },
            "which are read as scores",
        ),
        ("doccano", "d.jsonl", '{"text": "a", "label": [[0, 3, "PER"]]}', "spans of a text"),
        ("doccano", "d.jsonl", '{"text": "a", "label": "b"}', "not a list of names"),
        ("doccano", "d.jsonl", '{"text": "a"}\n{"text', "line 2 is not JSON"),
        ("libsvm", "x.txt", "a b c\n", "not three numbers"),
        ("libsvm", "x.txt", "999999999999 5 5\n0 1:1\n", "promises 999,999,999,999 items, 1 lines follow"),
        ("libsvm", "x.txt", "1 5 999999999999\n0 1:1\n", "split it"),
        ("libsvm", "x.txt", "1 5 2\n2 1:1\n", "label '2' is no number below 2"),
        ("libsvm", "x.txt", "1 5 2\n1 5:1\n", "'5:1' is no 'index:value' with an index below 5"),
        ("libsvm", "x.txt", "1 5 2\n1 1:nan\n", "'1:nan' is no 'index:value'"),
        ("libsvm", "x.txt", "1 5 2\n1 1:1e60\n", "beyond the range"),
        ("libsvm", "x.txt", "1 5 2\n1 1:1 1:2\n", "comes twice"),
        ("meka", "s.arff", MEKA.replace("-C 2", "-C 3"), "-C is 3, and there are 3 attributes"),
        ("meka", "s.arff", MEKA.replace(": -C 2", ""), "has no -C"),
        ("huggingface", "h.parquet", "PAR1", "not a Parquet file"),
    ],
)
def test_what_is_broken_is_refused_in_one_line(tmp_path, form, name, content, words):
    path = write(tmp_path / name, content)
    options = {} if form in ("lvis", "meka") else {"unlisted": "absent"}
    with pytest.raises(UserError, match=words) as refusal:
        read_labels(path, form, **options)
    assert len(str(refusal.value)) < 500
    assert name in str(refusal.value)


@pytest.mark.parametrize("form", names())
@pytest.mark.parametrize(
    "content", ["", "\0", "[", "{}", "[]", "[{}]", "<", "null", "3", "a,b\n", '"', "\ufeff[null]"]
)
def test_nothing_ends_in_a_foreign_error(tmp_path, form, content):
    from labelwise.exchange import get

    path = write(tmp_path / f"broken{get(form).endings[0]}", content)
    with pytest.raises(UserError):
        read_labels(path, form)
    with pytest.raises(UserError):
        read_labels(path)


def test_a_number_of_no_class_is_refused(tmp_path):
    feature = {"feature": {"names": ["cat"], "_type": "ClassLabel"}, "_type": "Sequence"}
    path = hugging_face(tmp_path / "h.parquet", pa.array([[7]], pa.list_(pa.int64())), feature)
    with pytest.raises(UserError, match="holds the class 7, and its metadata name 1 classes"):
        read_labels(path, unlisted="absent")
