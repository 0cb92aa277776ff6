import hashlib
import json
import pickle

import numpy as np
import pytest

from nas.errors import SpaceError
from nas.searchspaces import Architecture


def test_equal_values_are_one_architecture_whatever_their_order_and_type():
    a = Architecture({"heads.0": 2, "tokens.0": 1.0})
    b = Architecture({"tokens.0": np.int64(1), "heads.0": np.float64(2.0)})
    assert a == b
    assert hash(a) == hash(b)
    assert a.digest == b.digest
    assert list(a) == ["heads.0", "tokens.0"]
    assert a != Architecture({"heads.0": 2, "tokens.0": 0.5})
    assert len({a, b}) == 1


def test_digest_is_the_start_of_the_hash_of_the_canonical_json():
    a = Architecture({"b": 2, "a": 0.5})
    assert a.digest == hashlib.sha256(b'{"a":0.5,"b":2}').hexdigest()[:12]


def test_text_is_one_json_line_and_comes_back():
    a = Architecture({"b": 2, "a": 0.7})
    assert json.loads(str(a)) == {"b": 2, "a": 0.7}
    assert "\n" not in str(a)
    assert list(Architecture.from_json(str(a))) == ["b", "a"]
    assert Architecture.from_json(str(a)) == a
    assert pickle.loads(pickle.dumps(a)) == a


def test_it_is_frozen():
    a = Architecture({"a": 1})
    with pytest.raises(AttributeError, match="frozen"):
        a.a = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        a["a"] = 2  # type: ignore[index]
    with pytest.raises(AttributeError, match="frozen"):
        del a._values


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"a": "x"}', '{"a": true}', '{"a": NaN}', '{"a": null}', '{"a": [1]}']
)
def test_what_is_no_architecture_is_refused(text):
    with pytest.raises(SpaceError):
        Architecture.from_json(text)
