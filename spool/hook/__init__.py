"""The hooks: what a client runs at the turns of a session; they tell it of its mail and mark nothing read."""
