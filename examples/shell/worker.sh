#!/bin/sh
# An agent that has only a shell: waits for mail, does what it can, answers, rejects the rest.
# SPOOL_HOME says where its spool is, SPOOL_AGENT who it is.
set -eu
waiting=
trap '[ -z "$waiting" ] || kill "$waiting" 2>/dev/null || :; exit 0' HUP INT TERM
while :; do
    # In the background, so that a signal is not put off until mail comes.
    spool wait --timeout 100 >/dev/null &
    waiting=$!
    status=0
    wait "$waiting" || status=$?
    waiting=
    # Exit 3 is no error: nothing came in that time.
    case $status in
        0) ;;
        3) continue ;;
        *) exit "$status" ;;
    esac
    # Headers only; looking marks nothing. Whoever wrote them, what is used of them is the id.
    id=$(spool inbox --unread --limit 1 2>/dev/null | cut -d ' ' -f 1)
    [ -n "$id" ] || continue
    letter=$(spool read "$id" 2>/dev/null)
    case $letter in
        *"Subject: How many lines"*)
            # What the sender wrote stands between two marked lines: three words of spool's, then the text.
            text=$(printf '%s\n' "$letter" | sed -e '1,/^--- .* begin: /d' -e '/^--- .* end of /,$d' | sed '1,/^$/d')
            count=$(printf '%s\n' "$text" | wc -l | tr -d ' ')
            spool reply "$id" -b "$count lines" >/dev/null ;;
        *)
            spool done "$id" --outcome rejected --note "I count lines, and nothing else" >/dev/null ;;
    esac
done
