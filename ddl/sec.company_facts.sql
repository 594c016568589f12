-- sec.company_facts: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `sec`;

CREATE TABLE IF NOT EXISTS `sec`.`company_facts`
(
    `cik` String,
    `entity_name` String,
    `taxonomy` LowCardinality(String),
    `concept` LowCardinality(String),
    `label` Nullable(String),
    `unit` LowCardinality(String),
    `start` Nullable(Date32),
    `end` Date32,
    `days` Int32,
    `value` Nullable(Decimal(76, 30)),
    `accession_number` String,
    `fiscal_year` Nullable(UInt16),
    `fiscal_period` Nullable(String),
    `form` LowCardinality(String),
    `filed` Date,
    `frame` Nullable(String),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`cik`, `taxonomy`, `concept`, `unit`, `end`, `days`, `accession_number`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Every XBRL fact of a list of companies, once for each filing that states it; \`days\` is 0 for a moment, else the length of the period';

CREATE VIEW IF NOT EXISTS `sec`.`company_facts_latest` AS
SELECT `cik`, `entity_name`, `taxonomy`, `concept`, `label`, `unit`, `start`, `end`, `days`, `value`, `accession_number`, `fiscal_year`, `fiscal_period`, `form`, `filed`, `frame`
FROM `sec`.`company_facts`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `cik`, `taxonomy`, `concept`, `unit`, `end`, `days`, `accession_number`;
