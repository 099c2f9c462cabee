"""`python -m durable_cli`, for environments whose scripts are not on the PATH."""

from __future__ import annotations

import sys

from durable_cli.main import main

sys.exit(main())
