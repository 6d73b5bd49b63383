"""The former name of `scripts/smoke_test.py`; it goes with version 0.3."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from scripts.smoke_test import main

    print("scripts/walk.py is deprecated: use scripts/smoke_test.py", file=sys.stderr)
    sys.exit(main())
