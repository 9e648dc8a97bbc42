"""From a layout and the counts asked for to the layout that shall be."""
