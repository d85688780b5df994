"""The rows of the table: one file for each independent client."""

from rows import (
    aiortc,
    chromium,
    doctor,
    imported,
    monitoring,
    natdiscovery,
    node,
    probe,
    proxies,
    shared,
    startup,
    tls,
    tokens,
    top,
    uclient,
)


def all_groups():
    return [
        uclient.GROUP,
        imported.GROUP,
        tokens.GROUP,
        tls.GROUP,
        natdiscovery.GROUP,
        probe.GROUP,
        probe.ONE_ADDRESS_GROUP,
        probe.COTURN_GROUP,
        monitoring.GROUP,
        doctor.GROUP,
        doctor.COTURN_GROUP,
        proxies.GROUP,
        shared.GROUP,
        aiortc.GROUP,
        node.GROUP,
        node.USERS_GROUP,
        chromium.GROUP,
        chromium.DEV_GROUP,
        top.GROUP,
        startup.GROUP,
    ]
