"""W2 with dlt: its filesystem source and read_jsonl into JSON lines, its fastest destination: python trades_with_dlt.py FILE OUTDIR"""

import os
import shutil
import sys
import tempfile

os.environ.update(
    RUNTIME__DLTHUB_TELEMETRY="false", NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION="true", RUNTIME__LOG_LEVEL="ERROR"
)
import dlt
from dlt.sources.filesystem import filesystem, read_jsonl

file, out = (os.path.abspath(path) for path in sys.argv[1:3])
trades = filesystem(bucket_url="file://" + os.path.dirname(file), file_glob=os.path.basename(file)) | read_jsonl(chunksize=5000)
trades.add_map(lambda o: {**o, "price": float(o["price"]), "size": float(o["size"])})
trades.add_filter(lambda r: r["price"] > 0)
trades = trades.with_name("trades")
trades.apply_hints(columns={"ts": {"data_type": "timestamp"}})
os.makedirs(out, exist_ok=True)
work = tempfile.mkdtemp(dir=os.path.dirname(out))
destination = dlt.destinations.filesystem(bucket_url="file://" + out)
dlt.pipeline("w2", destination=destination, dataset_name="ds", pipelines_dir=work).run(trades, loader_file_format="jsonl")
shutil.rmtree(work)
