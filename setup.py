"""Packaging: two source roots (engine/, plugins/), one distribution. Tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "engine/nexus_engine/__init__.py").read_text())[1]

setup(
    name="nexus-engine",
    version=VERSION,
    description="Config-driven ingestion engine: one YAML file per feed, exactly-once rows in ClickHouse",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    package_dir={
        "nexus_engine": "engine/nexus_engine",
        "nexus_plugins": "plugins/nexus_plugins",
    },
    packages=[
        *find_packages("engine", include=["nexus_engine*"]),
        *find_packages("plugins", include=["nexus_plugins*"]),
    ],
    package_data={
        "nexus_engine": ["py.typed", "**/*.yaml", "**/*.json", "**/*.md"],
        "nexus_plugins": ["py.typed", "**/*.yaml", "**/*.json", "**/*.md"],
    },
    install_requires=[
        "chdb>=4.4",
        "click>=8.1",
        "clickhouse-driver>=0.2.9",
        "croniter>=6.0",
        "httpx>=0.28.1,<1",
        "jinja2>=3.1.6",
        "jsonschema>=4.23",
        "msgspec>=0.20",
        "numpy>=1.26",  # chdb brings it
        "pluggy>=1.7",
        "pyarrow>=18",
        "pyyaml>=6.0.2",
        "rich>=13.9",
        "sqlalchemy>=2.0.36",
        "sqlglot>=26",
        "tzdata>=2024.1",
        "xxhash>=3.4",
    ],
    extras_require={
        # Sources and sinks that come with their own client library.
        "kafka": ["kafka-python[crc32c]>=2.2"],
        "redis": ["redis>=5"],
        "metrics": ["prometheus-client>=0.21"],
        "social": ["tweepy>=4.14", "praw>=7.8"],
        "worldbank": ["wbgapi>=1.0.12"],
        "test": ["hypothesis>=6.120", "pytest>=8.3", "pytest-xdist>=3.6", "setuptools>=77"],
        "lint": ["mypy>=1.13", "ruff>=0.8", "types-PyYAML", "types-jsonschema"],
    },
    entry_points={"console_scripts": ["nexus-engine = nexus_engine.cli.main:main"]},
)
