#!/bin/sh
# Two hosts on this machine, an agent on each, both plain sh: sh examples/shell/run.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=$here/../../.venv/bin:$PATH
command -v spool >/dev/null || { echo "run.sh: no spool on the PATH: make setup" >&2; exit 1; }

folder=$(mktemp -d)
laptop=$folder/laptop cloud=$folder/cloud worker=
leave() {
    [ -z "$worker" ] || kill "$worker" 2>/dev/null || :
    [ -z "$worker" ] || wait "$worker" 2>/dev/null || :
    spool down --home "$laptop" >/dev/null 2>&1 || :
    rm -rf "$folder"
}
trap leave EXIT
trap 'exit 1' HUP INT TERM

# On real hosts these five lines are one: spool peer add cloud ssh://cloud --setup --far-agent worker
spool init --home "$laptop" --name laptop --agent asker | sed -n 's/^key  *//p' >"$folder/laptop.pub"
spool init --home "$cloud" --name cloud --agent worker >/dev/null
spool peer authorize laptop "$folder/laptop.pub" --home "$cloud" --agents asker --print >/dev/null
spool peer add cloud "exec:spool --home $cloud serve --peer laptop" --home "$laptop" --agents worker
spool up --detach --home "$laptop"

SPOOL_HOME=$cloud SPOOL_AGENT=worker sh "$here/worker.sh" &
worker=$!
SPOOL_HOME=$laptop SPOOL_AGENT=asker sh "$here/asker.sh"
