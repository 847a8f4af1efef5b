"""Commands that talk to a daemon elsewhere which is not there, is another one, or has sent this machine away."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.e2e.program import EDGED, require_namespaces

SCRIPT = """
import asyncio, json, os, subprocess, sys, tempfile
from dataclasses import replace
from pathlib import Path
from edged.client.daemons import PairedDaemons
from edged.trust.authority import Authority
from tests.client.secure import credentials, pairing, serving

async def main():
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    kitchen, other = (Authority.open(folder / name, name) for name in ("kitchen", "other"))
    daemons = PairedDaemons(folder / ".config/edged/daemons")
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"], "EDGED_CLIENT__DAEMON": "kitchen"}
    said = []

    async def run(known):
        daemons.add(known)
        command = [*json.loads(sys.argv[2]), "status"]
        done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True)
        daemons.remove("kitchen")
        said.append([done.returncode, done.stdout, done.stderr.replace(known.grpc_address, "ADDRESS")])

    async with serving(kitchen) as address:
        known = pairing(kitchen, address)
        await run(replace(known, credentials=credentials(kitchen, trusting=other)))
        await run(replace(known, credentials=credentials(other, trusting=kitchen)))
        await run(pairing(kitchen, address, days=50))  # it renews none, and lists no models
    await run(known)
    print(json.dumps(said))

asyncio.run(main())
"""
"""Without a network, since a daemon that does not answer is looked for there."""


def test_each_is_one_line_that_says_what_to_do(tmp_path) -> None:
    require_namespaces("-rn")
    arguments = [sys.executable, "-c", SCRIPT, str(tmp_path), json.dumps(EDGED)]
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    another, sent_away, not_renewed, not_there = json.loads(done.stdout)
    assert all(
        code == 1 and not shown and said.count("\n") == 1 for code, shown, said in (another, sent_away, not_there)
    )
    assert another[2].startswith("edged: what answers at ADDRESS is not the daemon that was paired with: `edged join`")
    assert sent_away[2].startswith("edged: the daemon at ADDRESS hung up") and "`edged join`" in sent_away[2]
    remark, went_on = not_renewed[2].splitlines()
    assert remark.startswith("edged: this machine's certificate runs out soon, and could not be renewed") and went_on
    assert not_there[2].startswith("edged: no daemon answers at ADDRESS: is it on, with `edged serve --lan`")
