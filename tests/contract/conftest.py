import pytest


@pytest.fixture(scope="session", autouse=True)
def server_first(nats_url: str) -> str:
    """Start the server before any event loop runs: starting it needs a loop of its own."""
    return nats_url
