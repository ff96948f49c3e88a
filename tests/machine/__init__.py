"""Two or three spools in one program, with a time that is turned by hand, a link that fails in every
way, and crashes at every step of their stores."""
