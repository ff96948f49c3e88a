"""`spool mcp`: the door for agents whose client speaks the Model Context Protocol."""
