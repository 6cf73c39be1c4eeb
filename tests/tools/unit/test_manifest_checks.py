"""The checks of deploy/ find what they are there to find: each test breaks one thing in what is committed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

Document = dict[str, Any]


@pytest.fixture(scope="module")
def rendered() -> tuple[list[Document], list[Document]]:
    import manifests

    overlay, secrets = manifests.render(manifests.OVERLAYS / "prod"), manifests.render(manifests.SECRETS)
    assert not isinstance(overlay, str)
    assert not isinstance(secrets, str)
    return overlay, secrets


@pytest.fixture
def problems_after(rendered: tuple[list[Document], list[Document]]) -> Callable[[str, Callable[[Document], Any]], str]:
    def change(name: str, act: Callable[[Document], Any]) -> str:
        import manifests

        overlay, secrets = copy.deepcopy(rendered)
        before = set(manifests.overlay_problems(overlay, secrets))
        act(next(document for document in [*overlay, *secrets] if manifests.name_of(document) == name))
        return "\n".join(set(manifests.overlay_problems(overlay, secrets)) - before)

    return change


Change = Callable[[str, Callable[[Document], Any]], str]


def pod(document: Document) -> Document:
    found: Document = document["spec"]["template"]["spec"]
    return found


def test_what_is_committed_has_no_problem() -> None:
    import manifests

    assert manifests.problems() == []


def test_a_misspelt_setting_is_found(problems_after: Change) -> None:
    found = problems_after("ConfigMap/billing", lambda it: it["data"].update(BILLING_HTTP_PROT="8080"))
    assert "BILLING_HTTP_PROT is no setting of billing" in found


def test_a_missing_secret_key_is_found(problems_after: Change) -> None:
    found = problems_after("Secret/tenancy", lambda it: it["data"].pop("TENANCY_SECRET_KEY"))
    assert "tenancy needs" in found
    assert "TENANCY_SECRET_KEY" in found


def test_a_service_that_selects_nothing_is_found(problems_after: Change) -> None:
    found = problems_after("Service/billing", lambda it: it["spec"]["selector"].update({"app.kubernetes.io/name": "x"}))
    assert "no pod has the labels" in found


def test_a_port_that_no_container_has_is_found(problems_after: Change) -> None:
    found = problems_after("Service/billing", lambda it: it["spec"]["ports"][0].update(targetPort="web"))
    assert "no container has a port web" in found


def test_a_wrong_type_is_found(problems_after: Change) -> None:
    assert "Deployment/billing-api" in problems_after(
        "Deployment/billing-api", lambda it: it["spec"].update(replicas="two")
    )


def test_a_runner_that_an_update_would_kill_is_found(problems_after: Change) -> None:
    found = problems_after(
        "ScaledJob/backup-engine-runner", lambda it: it["spec"]["rollout"].update(strategy="default")
    )
    assert "ends running backups" in found


def test_a_pod_that_may_run_as_root_is_found(problems_after: Change) -> None:
    found = problems_after("Deployment/tenancy-api", lambda it: pod(it)["securityContext"].pop("runAsNonRoot"))
    assert "may run as root" in found


def test_a_claim_that_nobody_makes_is_found(problems_after: Change) -> None:
    found = problems_after("PersistentVolumeClaim/backup-engine-keys", lambda it: it["metadata"].update(name="other"))
    assert "no PersistentVolumeClaim is called backup-engine-keys" in found


def test_compose_names_only_what_is_there_and_explained() -> None:
    import compose_check

    assert list(compose_check.problems()) == []
