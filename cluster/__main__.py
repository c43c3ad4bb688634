"""``python -m cluster``: the same as the installed ``cluster`` command."""

import sys

from cluster.cli.entry import main

sys.exit(main())
