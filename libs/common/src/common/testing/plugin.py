"""Pytest plugin: the servers that integration tests share, found by the environment or started for the run."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Superuser URL of a PostgreSQL: ``EBM_TEST_POSTGRES_URL``, else an embedded one for this run."""
    if found := os.environ.get("EBM_TEST_POSTGRES_URL"):
        yield found
        return
    servers = importlib.import_module("devstack.servers.postgres")
    folder = tmp_path_factory.mktemp("postgres")
    with servers.EmbeddedPostgres(folder, fsync=False, throw_away=True) as server:
        yield server.url


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A ``devstack.servers.rabbitmq.RabbitServer``: found by ``EBM_TEST_RABBITMQ_URL``, else a private node."""
    servers = importlib.import_module("devstack.servers.rabbitmq")
    if found := os.environ.get("EBM_TEST_RABBITMQ_URL"):
        yield servers.RabbitServer.found(found, os.environ["EBM_TEST_RABBITMQ_MANAGEMENT_URL"])
        return
    folder = Path(tmp_path_factory.mktemp("rabbitmq"))
    with servers.RabbitNode(folder, throw_away=True) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis of this run's own: installed, or unpacked from Debian's package."""
    debian, programs = (importlib.import_module(f"devstack.servers.{name}") for name in ("debian", "programs"))
    try:
        with programs.redis(tmp_path_factory.mktemp("redis")) as url:
            yield url
    except debian.PackagesUnavailable as error:
        pytest.skip(f"no redis-server here: {error}")
