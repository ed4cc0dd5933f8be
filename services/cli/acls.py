"""The rights of every identity as ACLs of the broker: as commands of Kafka's own tools, and applied."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import ClusterAuthorizationFailedError, SecurityDisabledError
from msgspec import Struct

from shared.access import ACCESSES, Grant, grants, user
from shared.errors import NeedsAPerson
from shared.rights import HOW, not_allowed
from shared.security import blocking_arguments
from shared.settings import KafkaSettings

_OPERATION = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "Create": ACLOperation.CREATE,
    "Describe": ACLOperation.DESCRIBE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
}
_RESOURCE = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


class NoAuthorizer(NeedsAPerson):
    """The broker keeps no ACLs."""


class Applied(Struct, frozen=True):
    """`new` was not there before. `surplus` are commands that take away what our users may do beyond the
    table: that is for a person to decide."""

    new: tuple[Grant, ...]
    surplus: tuple[str, ...]


def every_grant(settings: KafkaSettings) -> list[Grant]:
    """All rights of all identities, identity after identity."""
    return [grant for access in ACCESSES for grant in grants(settings, access.service)]


def by_resource(found: list[Grant]) -> Iterator[tuple[Grant, list[str]]]:
    """For each user and topic or group one of its grants, and every operation."""
    for _, same in groupby(found, key=lambda grant: (grant.user, grant.resource, grant.name)):
        first, *others = same
        yield first, [first.operation, *(grant.operation for grant in others)]


def commands(settings: KafkaSettings) -> Iterator[str]:
    """The same with Kafka's own `kafka-acls.sh`, a line each."""
    for grant, operations in by_resource(every_grant(settings)):
        yield _command(
            settings,
            "--add",
            "--allow-principal",
            f"User:{grant.user}",
            grant.resource,
            grant.name,
            operations,
        )


def apply(settings: KafkaSettings, *, only_look: bool = False) -> Applied:
    """Gives every right that is not given yet, or with `only_look` says which; takes none away. Raises
    Refused without the right to alter the cluster, NoAuthorizer."""
    wanted = every_grant(settings)
    users = [user(settings, access.service) for access in ACCESSES]
    admin = KafkaAdminClient(**blocking_arguments(settings))
    try:
        held = {acl for name in users for acl in _held(admin, name)}
        new = [grant for grant in wanted if _acl(grant) not in held]
        if new and not only_look:
            for _, error in admin.create_acls([_acl(grant) for grant in new])["failed"]:
                raise error
    except ClusterAuthorizationFailedError as error:
        raise not_allowed(settings, "alter the cluster, as giving rights takes a super user") from error
    except SecurityDisabledError as error:
        raise NoAuthorizer(
            f"The broker at {settings.bootstrap} keeps no ACLs: set its authorizer.class.name; {HOW}."
        ) from error
    finally:
        admin.close()
    surplus = held - {_acl(grant) for grant in wanted}
    return Applied(tuple(new), tuple(sorted(_removal(settings, acl) for acl in surplus if _allows(acl))))


def _acl(grant: Grant) -> Any:
    pattern = ResourcePattern(_RESOURCE[grant.resource], grant.name, ACLResourcePatternType.LITERAL)
    operation = _OPERATION[grant.operation]
    return ACL(f"User:{grant.user}", "*", operation, ACLPermissionType.ALLOW, pattern)


def _held(admin: Any, name: str) -> Any:
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    return admin.describe_acls(
        ACLFilter(f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
    )[0]


def _allows(acl: Any) -> bool:
    return bool(acl.permission_type == ACLPermissionType.ALLOW)


def _removal(settings: KafkaSettings, acl: Any) -> str:
    pattern = acl.resource_pattern
    resource = ResourceType(pattern.resource_type).name.lower().replace("_", "-")
    operation = ACLOperation(acl.operation).name.replace("_", " ").title().replace(" ", "")
    found = _command(
        settings, "--remove", "--allow-principal", acl.principal, resource, pattern.resource_name, [operation]
    )
    if pattern.pattern_type == ACLResourcePatternType.PREFIXED:
        found += " --resource-pattern-type prefixed"
    return found + ("" if acl.host == "*" else f" --allow-host {acl.host}")


def _command(
    settings: KafkaSettings,
    action: str,
    whom: str,
    principal: str,
    resource: str,
    name: str,
    operations: list[str],
) -> str:
    words = ["kafka-acls.sh", "--bootstrap-server", settings.bootstrap]
    words += ["--command-config", "admin.properties", action, whom, principal]
    for operation in operations:
        words += ["--operation", operation]
    words += [f"--{resource}"] if resource == "cluster" else [f"--{resource}", name]
    return shlex.join(words)
