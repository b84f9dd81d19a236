"""Reading directories: scanners behind one interface, filters, and columns of results."""
