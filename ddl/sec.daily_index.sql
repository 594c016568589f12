-- sec.daily_index: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `sec`;

CREATE TABLE IF NOT EXISTS `sec`.`daily_index`
(
    `form` LowCardinality(String),
    `company` String,
    `cik` UInt32,
    `filed` Date,
    `accession_number` String,
    `file` String,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`accession_number`, `cik`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Every filing of a day, from EDGAR\'s index of fixed width (its first column has had two widths); 403 on days without an index, or before it is there';

CREATE VIEW IF NOT EXISTS `sec`.`daily_index_latest` AS
SELECT `form`, `company`, `cik`, `filed`, `accession_number`, `file`
FROM `sec`.`daily_index`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `accession_number`, `cik`;
