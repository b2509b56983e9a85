"""Topics: a level for each label, and `unknown` for none."""

from __future__ import annotations

from edge.mqtt.topics import slug


def test_labels_become_levels_of_topics_and_unknown_is_kept_for_none() -> None:
    labels = [None, "Hyla crucifer", "Zoë's/frog #1+", "unknown", "+", "A__b"]
    assert [slug(label) for label in labels] == [
        "unknown",
        "hyla_crucifer",
        "zo_s_frog_1",
        "label_unknown",
        "label",
        "a_b",
    ]
