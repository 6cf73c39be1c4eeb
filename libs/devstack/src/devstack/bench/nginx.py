"""nginx, of one worker with its access log on: a proxy to measure ours against, or a service that costs little."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.servers.ports import free_port
from devstack.servers.processes import wait_until

CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  {upstream}
  server {{
    listen 127.0.0.1:{port};
    location / {{ {location} }}
  }}
}}
"""
UPSTREAM = "upstream service {{ server {address}; keepalive 64; keepalive_requests 1000000; }}"
PASSING = 'proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";'


@contextmanager
def proxy(program: str, folder: Path, service: str) -> Iterator[str]:
    """Pass everything on to a service, over kept connections, for the block; gives its address."""
    with _running(program, folder, UPSTREAM.format(address=service.removeprefix("http://")), PASSING) as address:
        yield address


@contextmanager
def constant(program: str, folder: Path, answer: str) -> Iterator[str]:
    """Answer everything with this JSON for the block, without a quote mark `'` in it; gives its address."""
    with _running(program, folder, "", f"default_type application/json; return 200 '{answer}';") as address:
        yield address


@contextmanager
def _running(program: str, folder: Path, upstream: str, location: str) -> Iterator[str]:
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    # Its temporary folders lie in ours, which only we may enter.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(
        CONFIGURATION.format(user=user, folder=folder, upstream=upstream, location=location, port=port)
    )
    child = subprocess.Popen([program, "-c", str(configuration), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        if not wait_until((folder / "nginx.pid").exists, 10):
            raise RuntimeError(f"nginx did not start: {(folder / 'error.log').read_text()[-500:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(10)
