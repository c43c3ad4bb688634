"""`python -m tests.http.conformance`."""

import sys

from tests.http.conformance.page import main

sys.exit(main())
