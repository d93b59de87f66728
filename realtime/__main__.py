"""`python -m impasto.realtime` is the `impasto` command."""

import sys

from impasto.realtime.cli.main import main

sys.exit(main())
