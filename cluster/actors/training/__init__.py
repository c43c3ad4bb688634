"""Workers that train one model together, in actors, and what places and watches them."""
