"""`python -m realtime` is the `impasto` command."""

import sys

from realtime.cli import main

sys.exit(main())
