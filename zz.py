import sys,time,numpy as np,json
from collections import Counter
from benchmarks.families import FAMILIES, suite
from harness import drive
out=[]
for kind in ('generic','integer'):
    for f in FAMILIES:
        for k,inst in enumerate(suite(90210,150,kind,[f])):
            (l,)=drive([inst])
            if l.status=='undecided' and 'stationary' not in l.reason and 'not unique' not in l.reason or l.doubt:
                print(kind,f,k,l.status,l.reason,l.doubt,'lognorm %.2f'%l.log_norm,'events',len(l.events),[ '%.1f:%.4f'%e for e in l.evidence[-4:]])
