"""What a deployment needs to know, from what was chosen."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from clawdeploy_api import catalogue
from clawdeploy_api.configurations import plugins_of
from clawdeploy_events.deployments import DeploymentPlan, SecretReference

OWN_LLM_KEY = "api_key.openrouter"


def plan_of(
    instance: Any,
    *,
    operation_id: UUID,
    config: Mapping[str, Any],
    secrets: Sequence[SecretReference],
    price_version: int,
) -> DeploymentPlan:
    """The plan of an instance's deployment; ``instance`` has the columns of its row."""
    plan = catalogue.find_plan(instance.plan)
    return DeploymentPlan(
        operation_id=operation_id,
        slug=instance.slug,
        provider=instance.provider,
        region=instance.region,
        plan=plan.id,
        price_version=price_version,
        memory_mb=plan.memory_mb,
        cpu_millis=plan.cpu_millis,
        model=catalogue.find_model(instance.model).openrouter_id,
        channel=instance.channel,
        plugins=plugins_of(config),
        config_version=instance.config_version,
        secrets=list(secrets),
        llm_key=llm_key_of(secrets),
        llm_limit_micros=plan.llm_limit_micros,
    )


def llm_key_of(secrets: Sequence[SecretReference]) -> Literal["minted", "own"]:
    """Whose LLM key is used: the owner's when there is one for OpenRouter."""
    return "own" if any(reference.name == OWN_LLM_KEY for reference in secrets) else "minted"
