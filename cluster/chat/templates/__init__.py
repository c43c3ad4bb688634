"""From messages to a prompt, by the template of a model: hostile code, which runs in a process that may be killed.

templates    what a chat asks: `ChatTemplates`
source       which template is the model's, and corrections of known ones
named        templates that ship
traits       what a template can do
probes       how that is found out
turns        messages as a template takes them
variables    all that a template is given
marking      names of control tokens in messages, which stay text
renderer     the process, as seen by the one that asks it
render_child the process
environment  the sandbox in it
"""
