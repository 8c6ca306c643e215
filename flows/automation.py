"""`python -m flows.automation`: the automation that starts a SKU for each event that says its photos have settled.

    event       productshot.photos.settled
    resource    productshot.sku.<sku>
    payload     sku, and key (the idempotency key of the change, as in productshot.events)

For few SKUs: the server evaluates events one by one, some 1 (SQLite) to 5 (PostgreSQL) a second; a bulk upload is a
night's. The server drops an event whose id it has seen in the last minutes, so a change that is told twice is one run;
told again later it is two, of which the second finds everything done.
"""

from __future__ import annotations

from typing import Any

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.events.actions import RunDeployment

from flows._runtime import SINGLE_SKU
from flows._server import create_or_replace_automation, find_deployment

SETTLED = "productshot.photos.settled"
RESOURCE = "productshot.sku"
NAME = "productshot: photos have settled"


def write_automation() -> None:
    """Make the automation or renew it. ConfigInvalid: the server has no deployment single-sku/now."""
    sku: dict[str, Any] = {"__prefect_kind": "jinja", "template": "{{ event.payload.sku }}"}
    create_or_replace_automation(
        AutomationCore(
            name=NAME,
            description="starts flow single-sku when an event says that a SKU's photos have settled",
            trigger=EventTrigger(
                expect={SETTLED},
                match={"prefect.resource.id": f"{RESOURCE}.*"},
                for_each={"prefect.resource.id"},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[RunDeployment(deployment_id=find_deployment(SINGLE_SKU), parameters={"sku": sku})],
        )
    )


if __name__ == "__main__":
    write_automation()
