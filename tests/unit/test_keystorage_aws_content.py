"""What a secret of AWS holds, and which settings are taken."""

from __future__ import annotations

import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runner.keystorage.aws import AwsConfig, AwsSecrets, Behaviour
from services.runner.keystorage.aws.content import Content, content_of


class TestContent:
    @pytest.mark.parametrize(
        ("text", "content"),
        [
            ("s3cret", Content("s3cret")),
            ('{"password": "s3cret"}', Content("s3cret")),
            ('  {"password": 12}', Content("12")),
            ('{"password": true}', Content("true")),
            ('{"a": {"b": [1]}}', Content('{"b":[1]}')),
            ('{"password": null}', Content()),
            ('{"password": ""}', Content()),
            ('{"user": "u", "password": "p"}', Content(fields={"user": "u", "password": "p"})),
            ('{"port": 5432, "none": null, "a/b": "x", "..": "y", "": "z"}', Content(fields={"port": "5432"})),
            ("{}", Content("{}")),
            ('{"broken', Content('{"broken')),
            ("[1]", Content("[1]")),
            ('"text"', Content('"text"')),
            ("", Content()),
            ('{"a":' * 100_000, Content('{"a":' * 100_000)),
        ],
    )
    def test_of_text(self, text: str, content: Content) -> None:
        assert content_of({"SecretString": text}, Behaviour.VAULT) == content
        plain = content_of({"SecretString": text}, Behaviour.PLAIN)
        assert plain == (Content(text) if text else Content())

    @pytest.mark.parametrize(
        ("data", "content"),
        [
            (b"pem\n", Content("pem\n")),
            (b'{"a": "b"}', Content('{"a": "b"}')),
            (b"\xff", Content()),
            (b"", Content()),
        ],
    )
    def test_of_bytes(self, data: bytes, content: Content) -> None:
        assert content_of({"SecretBinary": data}, Behaviour.VAULT) == content

    def test_nothing_shows_it(self) -> None:
        for answer in ({"SecretString": "s3cret"}, {"SecretString": '{"a":"s3cret","b":"s3cret"}'}, {}):
            assert "s3cret" not in repr(content_of(answer, Behaviour.VAULT))

    @given(
        st.text()
        | st.dictionaries(st.text(), st.text() | st.none()).map(lambda each: msgspec.json.encode(each).decode())
    )
    def test_whatever_it_holds(self, text: str) -> None:
        found = content_of({"SecretString": text}, Behaviour.VAULT)
        assert found.value is None or found.fields is None
        for name in found.fields or {}:
            assert "/" not in name
            assert name not in ("", ".", "..")


class TestSettings:
    def test_their_names(self) -> None:
        config = msgspec.convert(
            {"region": "eu-west-1", "accessKeyId": "a", "secretAccessKey": "secret", "storageBehaviour": "plain",
             "maxRetries": "0", "openTimeout": "1.5", "prefix": "/prod/"},
            AwsConfig, strict=False,
        )  # fmt: skip
        assert (config.storage_behaviour, config.max_retries, config.open_timeout) == (Behaviour.PLAIN, 0, 1.5)
        assert config.name_prefix == "/prod/"
        assert "secret" not in repr(config)
        names = {field.encode_name for field in msgspec.structs.fields(AwsConfig)}
        assert names >= AwsSecrets.secret_settings

    @pytest.mark.parametrize(
        ("prefix", "before"), [("", ""), ("a", "a/"), ("a/b/", "a/b/"), ("/", "/"), ("/a", "/a/")]
    )
    def test_the_prefix(self, prefix: str, before: str) -> None:
        assert AwsConfig(prefix=prefix).name_prefix == before

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"accessKeyId": "a"}, "both"),
            ({"secretAccessKey": "s3cret"}, "both"),
            ({"sessionToken": "s3cret"}, "sessionToken needs"),
            ({"roleArn": "arn:aws:iam::1:role/x"}, "roleArn"),
            ({"roleSessionName": "a b"}, "roleSessionName"),
            ({"externalId": "e"}, "externalId"),
            ({"endpoint": "localhost:1"}, "endpoint has to be"),
            ({"endpoint": "http://user:s3cret@host"}, "endpoint has to be"),
            ({"stsEndpoint": "ftp://x"}, "stsEndpoint has to be"),
            ({"maxRetries": "100"}, "maxRetries"),
            ({"readTimeout": "0"}, "readTimeout"),
            ({"openTimeout": "nan"}, "openTimeout"),
            ({"storageBehaviour": "rundeck"}, "enum"),
        ],
    )
    def test_what_is_refused(self, settings: dict[str, str], said: str) -> None:
        with pytest.raises(msgspec.ValidationError, match=said) as caught:
            msgspec.convert(settings, AwsConfig, strict=False)
        assert "s3cret" not in str(caught.value)


def test_an_idle_runner_does_without_the_library() -> None:
    AwsSecrets(AwsConfig())
    if "moto" not in sys.modules:
        assert "botocore" not in sys.modules
