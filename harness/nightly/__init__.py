"""The nightly run: what is known is replayed, then the claims are hunted, round after round, until the time is up.

    night       the run itself and its exit code
    violations  instances that violate what is proven, one file a claim
    summary     what a night found, as text, Markdown and JSON
    issues      tells a forge of it

What pytest does for it is harness/testing/nightly.py.

Everything that outlasts a night is under one folder, .marginalia unless said otherwise: violations/, findings/ (the
counterexamples that were new), the number of the next round, and the summary of the last night.
"""
