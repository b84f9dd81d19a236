"""What becomes of uploads, in a database for people elsewhere; it never keeps a mirror waiting."""
