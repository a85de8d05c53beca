"""``python -m serenade.app`` is the same as ``serenade``."""

import sys

from serenade.app.main import main

sys.exit(main())
