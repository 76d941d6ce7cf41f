"""How many modules somebody has to open to follow one call stays small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "modules_touched.py"


def test_a_prompt_and_a_frame_go_through_few_modules():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    prompt, frame = (int(count) for count in re.findall(r": (\d+) modules", done.stdout))
    assert prompt <= 19  # with the record of the edit, the checksums, what is still to be tracked, and what a mask is
    assert frame <= 31  # of which fifteen are of the engine: six of them are the memory network's
