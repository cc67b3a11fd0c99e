"""Speed (`speed`), the local benchmark (`local`) and single questions (`studies`); see each package."""
