"""W1 with dlt's own rest_api source into JSON lines, its fastest destination: python with_dlt.py BASE_URL SERIES OUTDIR"""

import os
import shutil
import sys
import tempfile
from datetime import date

os.environ.update(
    RUNTIME__DLTHUB_TELEMETRY="false", NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION="true", RUNTIME__LOG_LEVEL="ERROR"
)
import dlt
from dlt.sources.rest_api import rest_api_source

base_url, series, out = sys.argv[1:4]
config = {
    "client": {
        "base_url": base_url,
        "paginator": {
            "type": "offset", "limit": 1000, "offset_param": "offset", "limit_param": "limit", "total_path": "count",
        },
    },
    "resources": [{
        "name": "observations",
        "endpoint": {"path": "observations", "params": {"series_id": series}, "data_selector": "observations"},
        "processing_steps": [
            {"map": lambda o: {"series": series, "date": date.fromisoformat(o["date"]),
                               "value": None if o["value"] == "." else float(o["value"])}},
            {"filter": lambda r: r["value"] is None or -100 <= r["value"] <= 1e7},
        ],
        "columns": {"date": {"data_type": "date"}, "value": {"data_type": "double", "nullable": True}},
    }],
}  # fmt: skip
os.makedirs(out, exist_ok=True)
work = tempfile.mkdtemp(dir=os.path.dirname(os.path.abspath(out)))
destination = dlt.destinations.filesystem(bucket_url="file://" + os.path.abspath(out))
pipeline = dlt.pipeline("w1", destination=destination, dataset_name="ds", pipelines_dir=work)
pipeline.run(rest_api_source(config), loader_file_format="jsonl")
shutil.rmtree(work)
