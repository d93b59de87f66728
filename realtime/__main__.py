"""`python -m realtime` is the `impasto` command."""

import sys

from realtime.cli.main import main

sys.exit(main())
