-- sec.current_filings: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `sec`;

CREATE TABLE IF NOT EXISTS `sec`.`current_filings`
(
    `accession_number` String,
    `form` LowCardinality(String),
    `cik` String,
    `role` LowCardinality(String),
    `company` String,
    `link` String,
    `updated` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`accession_number`, `cik`, `role`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'The newest filings at EDGAR, an entry for each filer and role; past the last page the answer is a 503';

CREATE VIEW IF NOT EXISTS `sec`.`current_filings_latest` AS
SELECT `accession_number`, `form`, `cik`, `role`, `company`, `link`, `updated`
FROM `sec`.`current_filings`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `accession_number`, `cik`, `role`;
