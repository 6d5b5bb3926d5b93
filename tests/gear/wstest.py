"""Starts the Autobahn test suite. Runs on the cache's Python 2.7, see tests/gear/autobahn.

usage: wstest.py list                    prints the id of every case, one a line
       wstest.py MODE SPEC MESSAGES      fuzzingclient or fuzzingserver, with the spec file SPEC;
                                         cases 12 and 13 send MESSAGES messages each
"""

import sys
import zlib

# Cases 12 and 13 have the suite compress gigabytes, most of its running time. What they test
# is how a peer takes compressed messages; how small those are makes no difference to it.
zlib.Z_DEFAULT_COMPRESSION = 1

if sys.argv[1:] == ["list"]:
    from autobahntestsuite.case import CaseBasename, Cases

    for case in Cases:
        print(case.__name__.replace(CaseBasename, "", 1).replace("_", "."))
elif len(sys.argv) == 4:
    from autobahntestsuite.case.case12_x_x import Case12_X_X, Case13_X_X
    from autobahntestsuite.wstest import run

    for case in Case12_X_X + Case13_X_X:
        case.COUNT = int(sys.argv[3])
    # Web port 0: no web pages beside the WebSocket server.
    sys.argv = ["wstest", "-m", sys.argv[1], "-s", sys.argv[2], "-u", "0"]
    run()
else:
    sys.exit(__doc__)
