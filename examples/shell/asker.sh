#!/bin/sh
# An agent that has only a shell: asks, waits for the answer, is done with it; then asks too much.
# SPOOL_HOME says where its spool is, SPOOL_AGENT who it is.
set -eu
poem='The mail was left upon the sill,
the house was dark, the house was still.
By noon the mail was gone.'

# With an id of one's own the same line may be run again: it sends nothing twice.
asked=$(printf '%s\n' "$poem" | spool send worker -s "How many lines" -b - --id poem-1)
spool wait "$asked" --timeout 30 >/dev/null
answer=$(spool inbox --re "$asked" | cut -d ' ' -f 1)
spool read "$answer" 2>/dev/null
spool done "$answer"

refused=$(spool send worker -s "Write a poem" --wait-for done --timeout 30)
spool trace "$refused"
