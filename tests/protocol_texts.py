"""The scripts and recipes that the protocol's readers run today, byte for byte.

They stand so in tests/vectors/protocol-blocks.md, and tests/unit/test_protocol_scripts.py compares them.
"""

from __future__ import annotations

from typing import Final

# Option 1, "On local machine": claude-sync-local.sh, which removes also what it could not send.
LOCAL_OPTION_1: Final = r"""#!/bin/bash
while true; do
# Send messages to cloud
scp /tmp/to-cloud/*.json stackcp:~/claude-inbox/ 2>/dev/null
rm -f /tmp/to-cloud/*.json

# Receive messages from cloud
scp stackcp:~/claude-outbox/*.json /tmp/from-cloud/ 2>/dev/null
ssh stackcp "rm -f ~/claude-outbox/*.json"

sleep 5
done
"""

# Option 1, "On StackCP": claude-sync-cloud.sh, which logs each message again every time round.
CLOUD_OPTION_1: Final = r"""#!/bin/bash
while true; do
# Process inbox messages
for msg in ~/claude-inbox/*.json; do
[ -e "$msg" ] || continue
# Claude Code CLI would read and process here
echo "New message: $(basename $msg)" >> ~/claude.log
done

sleep 5
done
"""

# Deployment, Step 1: claude-sync-local.sh.
LOCAL_STEP_1: Final = r"""#!/bin/bash
while true; do
# Send to cloud
if ls /tmp/to-cloud/*.json 1> /dev/null 2>&1; then
scp -o StrictHostKeyChecking=no /tmp/to-cloud/*.json stackcp:~/claude-inbox/ 2>/dev/null && \
rm -f /tmp/to-cloud/*.json
fi

# Receive from cloud
scp -o StrictHostKeyChecking=no stackcp:~/claude-outbox/*.json /tmp/from-cloud/ 2>/dev/null && \
ssh stackcp "rm -f ~/claude-outbox/*.json"

sleep 5
done
"""

# Deployment, Step 2: claude-sync-cloud.sh; it needs ~/claude-inbox/processed.
CLOUD_STEP_2: Final = r"""#!/bin/bash
while true; do
# Check for new messages
for msg in ~/claude-inbox/*.json; do
[ -e "$msg" ] || continue

# Log message receipt
echo "$(date): Received $(basename $msg)" >> ~/claude-chat.log

# Claude Code would process here
# For now, just acknowledge
MSGID=$(basename "$msg" .json)
echo "{\"from\":\"cloud\",\"to\":\"local\",\"re\":\"$MSGID\",\"status\":\"received\"}" \
> ~/claude-outbox/ack-$(date +%s).json

# Archive
mv "$msg" ~/claude-inbox/processed/
done

sleep 5
done
"""

# "Local Claude": the first half of its block.
LOCAL_SEND: Final = r"""# Send message to cloud
echo '{
"from": "claude-local",
"to": "claude-cloud-agent-1",
"subject": "Ready to deploy Photo Inventory",
"body": "MVP feature complete. Please test and confirm.",
"type": "deploy-ready"
}' > /tmp/to-cloud/msg-$(date +%s).json
"""

# The second half: it needs jq, and removes what it printed.
LOCAL_READ: Final = r"""# Read responses
for msg in /tmp/from-cloud/*.json; do
[ -e "$msg" ] || continue
echo "📨 Message from cloud:"
cat "$msg" | jq -r '.body'
rm "$msg"
done
"""

# "Cloud Claude": reads and answers; it needs jq and ~/claude-inbox/processed.
CLOUD_REPLY: Final = r"""# Read inbox
for msg in ~/claude-inbox/*.json; do
[ -e "$msg" ] || continue

# Process message
FROM=$(jq -r '.from' "$msg")
SUBJECT=$(jq -r '.subject' "$msg")
BODY=$(jq -r '.body' "$msg")

echo "📬 Message from $FROM: $SUBJECT"
echo "$BODY"

# Send reply
echo '{
"from": "claude-cloud-agent-1",
"to": "'"$FROM"'",
"subject": "Re: '"$SUBJECT"'",
"body": "Photo Inventory tested successfully. All OCR tests passing. Ready for production.",
"type": "status-update"
}' > ~/claude-outbox/reply-$(date +%s).json

# Archive processed message
mv "$msg" ~/claude-inbox/processed/
done
"""

# Deployment, Step 3; it waits ten seconds and lists the far inbox by ssh.
LOCAL_TEST: Final = r"""# From local machine: Send test message
echo '{
"from": "claude-local",
"to": "claude-cloud",
"subject": "Communication test",
"body": "Hello from local WSL machine! Can you read this?",
"timestamp": "'$(date -Iseconds)'"
}' > /tmp/to-cloud/test-$(date +%s).json

# Wait 10 seconds for sync
sleep 10

# Check on StackCP
ssh stackcp "ls -la ~/claude-inbox/"

# Should see test message!
"""

# Usage, Example 1: the local side.
EXAMPLE_BLOCKER: Final = r"""echo '{
"from": "claude-local",
"to": "claude-cloud-agent-2",
"priority": "P0",
"type": "blocker",
"subject": "Redis not installed on StackCP",
"body": "Agent 2 (Document Search) is blocked. Meilisearch requires Redis for job queue. Can you install Redis or propose workaround?",
"deadline": "2025-11-13T11:30:00Z"
}' > /tmp/to-cloud/blocker-redis-$(date +%s).json
"""  # noqa: E501 - as written

# Example 1: the cloud's answer, with fields that nobody knows and no `re`.
EXAMPLE_BLOCKER_RESOLVED: Final = r"""echo '{
"from": "claude-cloud-agent-2",
"to": "claude-local",
"priority": "P0",
"type": "blocker-resolved",
"subject": "Re: Redis not installed on StackCP",
"body": "Workaround implemented: Using in-memory queue (bull-mq) instead of Redis. Performance acceptable for MVP (<50 docs). Redis can be added post-demo.",
"solution": "Modified server/search-queue.js to use in-memory adapter",
"commit": "a3b9f21"
}' > ~/claude-outbox/redis-workaround-$(date +%s).json
"""  # noqa: E501 - as written

# Example 2: the cloud's signal.
EXAMPLE_DEPLOY_READY: Final = r"""echo '{
"from": "claude-cloud-agent-1",
"to": "claude-local",
"type": "deploy-ready",
"subject": "Photo Inventory COMPLETE",
"body": "✅ All tests passing\n✅ UI polished\n✅ OCR integrated\n\nReady for production deployment.",
"artifacts": [
"~/navidocs/client/components/PhotoInventory.vue",
"~/navidocs/server/api/inventory.js"
],
"test_results": "15/15 passing"
}' > ~/claude-outbox/photo-ready-$(date +%s).json
"""

LOCAL_SCRIPTS: Final = {"option 1": LOCAL_OPTION_1, "step 1": LOCAL_STEP_1}
CLOUD_SCRIPTS: Final = {"option 1": CLOUD_OPTION_1, "step 2": CLOUD_STEP_2}
RECIPES: Final = {
    "local send": LOCAL_SEND,
    "local read": LOCAL_READ,
    "cloud reply": CLOUD_REPLY,
    "local test": LOCAL_TEST,
    "blocker": EXAMPLE_BLOCKER,
    "blocker resolved": EXAMPLE_BLOCKER_RESOLVED,
    "deploy ready": EXAMPLE_DEPLOY_READY,
}
