"""`make images`: one image per service from deploy/docker/Dockerfile, tagged with the commit."""

import shutil
import subprocess
import sys

from bootstrap import ROOT

from services import services


def main() -> int:
    if shutil.which("docker") is None:
        print("images: docker is not on PATH")
        return 1
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    for service in services():
        if sys.argv[1:] and service.name not in sys.argv[1:]:
            continue
        name = f"ebm-{service.name}"
        command = ["docker", "build", "-f", "deploy/docker/Dockerfile", "--build-arg", f"SERVICE={service.name}"]
        done = subprocess.run([*command, "-t", f"{name}:{commit}", "-t", f"{name}:latest", "."], cwd=ROOT, check=False)
        if done.returncode != 0:
            return done.returncode
        print(f"images: {name}:{commit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
