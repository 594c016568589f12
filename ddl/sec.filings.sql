-- sec.filings: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `sec`;

CREATE TABLE IF NOT EXISTS `sec`.`filings`
(
    `cik` String,
    `accession_number` String,
    `form` LowCardinality(String),
    `filing_date` Date,
    `report_date` Nullable(Date),
    `accepted_at` DateTime64(3),
    `items` String,
    `size` UInt64,
    `primary_document` String,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`cik`, `accession_number`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Filings of a list of companies, as EDGAR\'s submissions have them';

CREATE VIEW IF NOT EXISTS `sec`.`filings_latest` AS
SELECT `cik`, `accession_number`, `form`, `filing_date`, `report_date`, `accepted_at`, `items`, `size`, `primary_document`
FROM `sec`.`filings`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `cik`, `accession_number`;
