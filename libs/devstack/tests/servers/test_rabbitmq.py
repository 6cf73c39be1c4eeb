"""The private RabbitMQ node: what it keeps, whom it lets in, and that it leaves nothing behind."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused
from devstack.servers import debian, rabbitmq_programs
from devstack.servers.errors import RabbitUnavailable, ServerUnreachable
from devstack.servers.rabbitmq import RabbitNode, RabbitServer, rabbitmq

RunAsNobody = Callable[[str], subprocess.CompletedProcess[str]]
QUORUM = {"x-queue-type": "quorum"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node for the tests that do not end it: a start takes seconds."""
    started = RabbitNode(tmp_path_factory.mktemp("rabbit") / "node", throw_away=True)
    started.start()
    yield started
    started.stop()


@pytest.fixture
def server(node: RabbitNode) -> RabbitServer:
    return node.start()


async def publish(channel: AbstractChannel, queue: str, body: bytes) -> None:
    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, queue, mandatory=True)


async def put(server: RabbitServer, queue: str, body: bytes) -> None:
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.declare_queue(queue, durable=True, arguments=QUORUM)
        await publish(channel, queue, body)


async def take(server: RabbitServer, queue: str) -> bytes:
    async with await aio_pika.connect(server.url) as connection:
        channel = await connection.channel()
        found = await channel.get_queue(queue)
        message = await found.get(timeout=20)
        assert message is not None
        await message.ack()
        return message.body


async def test_a_user_may_do_what_he_was_given_and_no_more(server: RabbitServer) -> None:
    server.add_user("reader", "secret", configure="^$", write="^$", read="^open$")
    await put(server, "open", b"hello")
    async with await aio_pika.connect(server.url_for("reader", "secret")) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("open", ensure=False)
        message = await queue.get(timeout=20)
        assert message is not None
        assert message.body == b"hello"
        await message.ack()
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue("closed")


async def test_a_virtual_host_holds_queues_of_its_own(server: RabbitServer) -> None:
    apart = server.add_vhost("apart")
    await put(apart, "same-name", b"apart")
    await put(server, "same-name", b"default")
    assert await take(apart, "same-name") == b"apart"
    server.delete_vhost("apart")
    with pytest.raises(ServerUnreachable, match="404"):
        server.ask("GET", "vhosts/apart")


def test_every_door_is_on_the_loopback_address(node: RabbitNode, server: RabbitServer) -> None:
    listening = {int(line.split()[1].rpartition(":")[2], 16) for line in _listening_everywhere()}
    told = server.ask("GET", "overview")["listeners"]
    assert {listener["ip_address"] for listener in told if listener["protocol"] == "amqp"} == {"127.0.0.1"}
    assert not listening & {listener["port"] for listener in told}


def _listening_everywhere() -> list[str]:
    """Sockets in state LISTEN (0A) on 0.0.0.0 or ::, from /proc."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:] + Path("/proc/net/tcp6").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[3] == "0A" and set(line.split()[1].partition(":")[0]) == {"0"}]


def test_a_second_start_finds_the_running_node(node: RabbitNode, server: RabbitServer) -> None:
    assert node.start() == server
    assert node.running() == server


def test_the_environment_names_a_broker_that_is_not_stopped(
    server: RabbitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBM_RABBITMQ_URL", server.url)
    monkeypatch.setenv("EBM_RABBITMQ_MANAGEMENT_URL", server.management_url)
    with rabbitmq(tmp_path / "unused") as found:
        assert (found.port, found.version) == (server.port, server.version)
    assert not (tmp_path / "unused").exists()
    assert server.ask("GET", "overview")["rabbitmq_version"] == server.version


def test_a_url_that_nobody_answers_is_an_error_of_ours() -> None:
    with pytest.raises(ServerUnreachable):
        RabbitServer.found("amqp://x:y@127.0.0.1:1/", "http://127.0.0.1:1")


async def test_messages_password_and_port_outlive_a_stop_and_a_crash(tmp_path: Path) -> None:
    node = RabbitNode(tmp_path / "node", throw_away=True)
    first = node.start()
    try:
        await put(first, "kept", b"before the stop")
        RabbitNode(tmp_path / "node").stop()
        assert node.running() is None
        second = node.start()
        assert (second.url, second.management_url) == (first.url, first.management_url)
        assert await take(second, "kept") == b"before the stop"
        await put(second, "kept", b"before the crash")
        node.sync_quorum()
        node.kill()
        assert node.running() is None
        assert await take(node.start(), "kept") == b"before the crash"
    finally:
        node.stop()
    assert not (tmp_path / "node").exists()


def test_a_machine_without_any_way_to_rabbitmq_is_told_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_programs, "installed", lambda: None)
    monkeypatch.setattr(debian, "can_install", lambda: False)
    monkeypatch.setattr(debian, "can_unpack", lambda: False)
    with pytest.raises(RabbitUnavailable, match=r"not installed.*EBM_RABBITMQ_URL"):
        rabbitmq_programs.rabbit_programs(tmp_path)


@pytest.mark.long
@pytest.mark.skipif(not debian.can_unpack(), reason="needs Debian's packages")
def test_unpacked_packages_run_for_an_unprivileged_user(run_as_nobody: RunAsNobody) -> None:
    program = (
        "import sys, pathlib\n"
        "from devstack.servers.rabbitmq import RabbitNode\n"
        "from devstack.servers.rabbitmq_programs import unpacked\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "with RabbitNode(home / 'node', programs=unpacked(home / 'tools')) as server:\n"
        "    print(pathlib.Path(f'/proc/{server.pid}/exe').readlink().is_relative_to(home))\n"
    )
    said = run_as_nobody(program)
    assert (said.stdout.strip(), said.returncode) == ("True", 0), said.stderr
