"""GitHub issues as a road for mail: a repository's issues and comments, through its HTTP API."""
