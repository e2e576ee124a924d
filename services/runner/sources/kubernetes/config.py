"""The settings, by their names in the original.

==========================  =======================================================================================
``attributes``              ``NAME=TEXT …``, for every node
``mapping``, ``tags``       see ``domain/discovery/mapping.py``; without ``tags`` the container's status is a tag
``namespace_filter``        the namespace; without it those of all
``field_selector``          such as ``spec.nodeName=worker-1``
``label_selector``          such as ``app=web,tier!=test``
``running``                 only containers that run (false)
``emoticon``                a sign before the status (false)
``config_file``             a kubeconfig; it holds over ``url``
``url``                     ``https://host:6443``
``token``                   the key that holds the token for ``url``
``token_storage_path``      the same; ``token`` holds over it
``verify_ssl``              whether the certificate at ``url`` is checked (true)
``ssl_ca_cert``             a file with the authorities that are trusted there; without it those of the system
``debug``                   one line more in the runner's log (false)
==========================  =======================================================================================

With neither ``config_file`` nor ``url``: in a pod its service account; else the files of ``KUBECONFIG``, else
``~/.kube/config``.

Where this differs from the original: it leaves the certificate unchecked unless ``verify_ssl`` is ``true``, which
would hand the token to anybody; it takes a ``url`` without a token for none; and it never finds the service account.
"""

from __future__ import annotations

import msgspec


class KubernetesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a source; the values of keys stand in ``token`` and ``token_storage_path``."""

    attributes: str = ""
    mapping: str = ""
    tags: str = "tag.selector=default:status"
    namespace_filter: str = ""
    field_selector: str = ""
    label_selector: str = ""
    running: bool = False
    emoticon: bool = False
    config_file: str = ""
    url: str = ""
    token: str = ""
    token_storage_path: str = ""
    verify_ssl: bool = True
    ssl_ca_cert: str = ""
    debug: bool = False
