"""OpenShift's mirror sets as registries.conf."""

import tomllib

import pytest

from layers.errors import LayerError
from layers.oci.mirror_sets import registries_conf

SETS = b"""\
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: digests}
spec:
  imageDigestMirrors:
  - source: quay.io/openshift
    mirrors: [mirror.example.com/openshift, second.example.com/o]
    mirrorSourcePolicy: NeverContactSource
  - source: "*.redhat.io"
    mirrors:
    - mirror.example.com/redhat
---
kind: List
items:
- kind: ImageTagMirrorSet
  spec:
    imageTagMirrors:
    - {source: quay.io/openshift, mirrors: [second.example.com/o, tags.example.com/o]}
- kind: ImageContentSourcePolicy
  spec:
    repositoryDigestMirrors:
    - {source: docker.io, mirrors: [mirror.example.com/hub]}
"""


def test_sets_are_joined_by_their_source() -> None:
    made = registries_conf(SETS, "sets")
    assert made is not None
    only = {"pull-from-mirror": "digest-only"}
    assert tomllib.loads(made.decode())["registry"] == [
        {
            "location": "quay.io/openshift",
            "blocked": True,
            "mirror": [
                {"location": "mirror.example.com/openshift", **only},
                {"location": "second.example.com/o"},
                {"location": "tags.example.com/o"},
            ],
        },
        {
            "prefix": "*.redhat.io",
            "blocked": False,
            "mirror": [{"location": "mirror.example.com/redhat", **only}],
        },
        {
            "location": "docker.io",
            "blocked": False,
            "mirror": [{"location": "mirror.example.com/hub", **only}],
        },
    ]


def test_a_registries_conf_is_left_alone() -> None:
    assert registries_conf(b'[[registry]]\nlocation = "quay.io"\n', "conf") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"kind: Pod\n", "Pod sets no mirrors"),
        (b"kind: [\n", "not YAML"),
        (b"kind: ImageTagMirrorSet\nspec: {imageTagMirrors: [{mirrors: [a]}]}\n", "has no source"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_what_sets_no_mirrors(text: bytes, said: str) -> None:
    with pytest.raises(LayerError, match=said):
        registries_conf(text, "sets")
