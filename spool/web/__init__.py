"""`spool web`: the door for peers that post over HTTPS, and that poll for their mail."""
