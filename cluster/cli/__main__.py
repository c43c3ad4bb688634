"""``python -m cluster.cli``: the same as the installed ``cluster`` command."""

import sys

from cluster.entry import main

sys.exit(main())
