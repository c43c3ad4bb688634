"""How tokens become a text: what a caller may ask for, whole characters, and where a text ends. Nothing native here.

`cluster` takes these parameters and adds those of a service.
"""
