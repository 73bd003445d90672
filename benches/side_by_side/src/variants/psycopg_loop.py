"""The loop that is being replaced: psycopg 3, one prepared statement, once for each row.

Reads rows from the file given, then jobs from standard input, one a line: the function, how many
rows, how to connect. Answers each with two numbers of seconds: from connecting to the answer to the
commit, and from the connection on.
"""

import gc
import json
import sys
import time

import psycopg
from psycopg.types.json import Jsonb


def perform(function, rows, conninfo):
    begun = time.perf_counter()
    connection = psycopg.connect(conninfo)
    connected = time.perf_counter()
    cursor = connection.cursor()
    query = f"SELECT {function}(%s)"
    for row in rows:
        answer = cursor.execute(query, [Jsonb(row)], prepare=True).fetchone()[0]
        if answer["ok"] is not True:
            raise RuntimeError(answer)
    connection.commit()
    ended = time.perf_counter()
    connection.close()
    return ended - begun, ended - connected


with open(sys.argv[1], encoding="utf-8") as file:
    create = [json.loads(line) for line in file]
enact = [{key: row[key] for key in ("document", "address")} for row in create]
gc.freeze()

for line in sys.stdin:
    function, n, conninfo = line.rstrip("\n").split(" ", 2)
    rows = (create if function.endswith("create") else enact)[: int(n)]
    print(*perform(function, rows, conninfo), flush=True)
