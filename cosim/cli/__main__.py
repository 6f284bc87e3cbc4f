"""`python -m cosim.cli`."""

import sys

from cosim.cli.app import main

sys.exit(main())
