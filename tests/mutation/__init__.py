"""Small wrong changes of the code and of its SQL, each of which some test should notice: docs/mutation.md."""
