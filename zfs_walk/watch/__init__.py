"""Noticing the changes of one folder: back ends behind one interface, lists that are kept true."""
