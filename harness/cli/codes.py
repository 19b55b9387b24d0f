"""Exit codes.

0 done (for check: an answer, whatever it is); 2 unreadable input, with one line on standard error that names the
field; 3 verify rejected a file, or nightly saw a theorem violated; 1 a defect of the harness, a hunt that came back
without its counterexample, or something that could not be written; 130 stopped by Ctrl-C.
"""

OK, DEFECT, BAD_INPUT, REJECTED, STOPPED = 0, 1, 2, 3, 130
